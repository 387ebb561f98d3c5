import { StartError } from "./start-error.js";

export interface Aria2Settings {
  readonly port: number;
  readonly secret: string;
  readonly downloadDirectory: string;
  /** Unfinished downloads, so that a restart goes on with them. */
  readonly sessionFile: string;
  /** aria2 ends by itself when this process is gone. */
  readonly parentPid: number;
}

/**
 * The configuration of an aria2 of Haul's own. It is a file because arguments
 * and environment of a process show to others.
 * @throws StartError if a path cannot be written into one.
 */
export function aria2Config(settings: Aria2Settings): string {
  const { port, secret, downloadDirectory, sessionFile, parentPid } = settings;
  for (const path of [downloadDirectory, sessionFile])
    if (/[\r\n]|^\s|\s$/.test(path))
      throw new StartError(
        `aria2 cannot use the directory ${JSON.stringify(path)}: give one without line breaks, and without spaces at its ends`,
      );
  const lines = {
    "enable-rpc": true,
    "rpc-listen-all": false,
    "rpc-listen-port": port,
    "rpc-secret": secret,
    dir: downloadDirectory,
    continue: true,
    "input-file": sessionFile,
    "save-session": sessionFile,
    "save-session-interval": 30,
    "stop-with-process": parentPid,
    "no-netrc": true,
    // Nothing that speaks to the network unasked.
    "enable-dht": false,
    "enable-dht6": false,
    "bt-enable-lpd": false,
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}
