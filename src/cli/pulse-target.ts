import type { Command } from "commander";
import {
  checkTlsOptions,
  type PulseSecurity,
  plainTextExposure,
  type TlsOptions,
} from "../client/index.js";
import { readIfPresent } from "../lib/private-file.js";
import { CommandError, UsageError } from "./failure.js";
import { readGivenFile } from "./given-file.js";
import { DEFAULT_PULSE_URL, readSwitch } from "./options.js";
import { tlsPlaces } from "./places.js";
import { isThisHost } from "./this-host.js";

/** Where Pulse is, one URL or several with commas between, and how the connection is kept from others. */
export interface PulseTarget extends PulseSecurity {
  readonly url: string;
}

export interface TargetOptions {
  /** `--pulse` or PULSE_URL; undefined: neither was given. */
  readonly pulse: string | undefined;
  /** PEM files. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly fingerprint?: string;
  readonly insecure: boolean;
  /** Pulse's data directory, if Pulse is on this host. */
  readonly dataDirectory: string;
}

/** The target that the options of `command` and the variables name. @throws as `findTarget` */
export function targetOf(command: Command, dataDirectory: string): Promise<PulseTarget> {
  const { pulse, insecure, ...files } = command.opts<
    Partial<Omit<TargetOptions, "insecure">> & { insecure?: boolean }
  >();
  return findTarget({
    ...files,
    pulse: command.getOptionValueSource("pulse") === "default" ? undefined : pulse,
    insecure: insecure ?? readSwitch("PULSE_INSECURE", process.env),
    dataDirectory,
  });
}

/**
 * Finds out where Pulse is and whom to trust there. Where Pulse on this host has an
 * authority of its own, that is taken for this host; its file, as those that are given,
 * is read anew for each connection.
 * @throws UsageError if the options do not fit together, CommandError if a file is not what it should be
 */
export async function findTarget(options: TargetOptions): Promise<PulseTarget> {
  const { ca, cert, key, fingerprint, insecure } = options;
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError("--cert and --key belong together: give both, or neither");
  const ownCa = tlsPlaces(options.dataDirectory).authority;
  const isTlsMeant = [ca, cert, fingerprint].some((given) => given !== undefined);
  const url = options.pulse ?? (await defaultUrl(isTlsMeant, ownCa));
  if (!url.startsWith("https:")) {
    if (isTlsMeant)
      throw new UsageError(
        `--ca, --cert and --fingerprint are for https, and ${url} is not: give the address as https://`,
      );
    const exposure = plainTextExposure(url);
    if (exposure !== undefined && !insecure)
      throw new UsageError(
        `${exposure}; use https:// (with --ca or --fingerprint if Pulse made its certificate by itself), or say --insecure`,
      );
    return { url, insecure };
  }
  const isHere = url.split(",").every(isThisHost);
  const trustsOwnCa = isHere && ca === undefined && fingerprint === undefined;
  const tls = async (): Promise<TlsOptions> => ({
    ...(trustsOwnCa ? await ownAuthority(ownCa) : {}),
    ...(ca !== undefined && { ca: await readGivenFile(ca) }),
    ...(cert !== undefined && { cert: await readGivenFile(cert) }),
    ...(key !== undefined && { key: await readGivenFile(key) }),
    ...(fingerprint !== undefined && { fingerprint }),
  });
  checkFiles(await tls(), { ca: ca ?? ownCa, cert, key, fingerprint: "--fingerprint" });
  return { url, insecure, tls };
}

/** Where Pulse is on this host: with TLS if it has an authority of its own, or that was meant. */
async function defaultUrl(isTlsMeant: boolean, ownCa: string): Promise<string> {
  const hasTls = isTlsMeant || "ca" in (await ownAuthority(ownCa));
  return hasTls ? DEFAULT_PULSE_URL.replace("http:", "https:") : DEFAULT_PULSE_URL;
}

/** Empty if there is none, or it is not for us. */
async function ownAuthority(file: string): Promise<TlsOptions> {
  const ca = await readIfPresent(file).catch(() => undefined);
  return ca === undefined ? {} : { ca };
}

/** The library's sentences name its options: here these are files. */
function checkFiles(
  options: TlsOptions,
  names: Readonly<Record<keyof TlsOptions, string | undefined>>,
): void {
  try {
    checkTlsOptions(options);
  } catch (error) {
    const { message } = error as Error;
    throw new CommandError(
      message.replace(/\btls\.(\w+)/g, (_, option: keyof TlsOptions) => String(names[option])),
    );
  }
}
