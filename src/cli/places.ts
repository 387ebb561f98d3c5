import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** Pulse's data directory: as given, else `$XDG_STATE_HOME/pulse`, else `~/.local/state/pulse`. */
export function pulseDataDirectory(given: string | undefined, env: NodeJS.ProcessEnv): string {
  return given ? resolve(given) : join(stateHome(env), "pulse");
}

/**
 * Where a Haul keeps its identity and API key: as given, else
 * `$XDG_STATE_HOME/haul/<name>`. Two Hauls on one host need two directories, so
 * they need two names, or `--data`.
 */
export function haulStateDirectory(
  given: string | undefined,
  name: string,
  env: NodeJS.ProcessEnv,
): string {
  if (given) return resolve(given);
  const folder = encodeURIComponent(name).replace(/^\.+/, (dots) => "%2E".repeat(dots.length));
  return join(stateHome(env), "haul", folder);
}

/** Where `pulse tls init` puts what it makes, and `pulse serve` looks for it. */
export function tlsPlaces(dataDirectory: string) {
  const directory = join(dataDirectory, "tls");
  return {
    directory,
    authority: join(directory, "ca.crt"),
    authorityKey: join(directory, "ca.key"),
    serverCertificate: join(directory, "server.crt"),
    serverKey: join(directory, "server.key"),
    clients: join(directory, "clients"),
  };
}

/** The XDG base directory for state. A relative one is ignored, as that specification asks. */
function stateHome(env: NodeJS.ProcessEnv): string {
  const given = env.XDG_STATE_HOME;
  return given && isAbsolute(given) ? given : join(env.HOME || homedir(), ".local", "state");
}
