import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { PulseOptions } from "../pulse/index.js";
import { UsageError } from "./failure.js";
import { tlsPlaces } from "./places.js";

export interface ServeTlsOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
}

export function addServeTlsOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--tls-cert <file>",
        "certificate for TLS, PEM, with those between it and its authority; default: what `pulse tls init` made in the data directory, if it did",
      ).env("PULSE_TLS_CERT"),
    )
    .addOption(new Option("--tls-key <file>", "its key, PEM").env("PULSE_TLS_KEY"))
    .addOption(
      new Option(
        "--client-ca <file>",
        "let only clients in that have a certificate from one of these authorities, PEM",
      ).env("PULSE_CLIENT_CA"),
    );
}

/**
 * The files that the options name, else those of `pulse tls init`; undefined, for plain
 * text, if there are neither.
 * @throws UsageError if the options do not fit together
 */
export async function findTlsFiles(
  { tlsCert, tlsKey, clientCa }: ServeTlsOptions,
  dataDirectory: string,
): Promise<PulseOptions["tls"]> {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new UsageError(
      "--tls-cert and --tls-key belong together (PULSE_TLS_CERT, PULSE_TLS_KEY): give both or neither",
    );
  const clientAuthority = clientCa === undefined ? {} : { clientAuthority: resolve(clientCa) };
  if (tlsCert !== undefined && tlsKey !== undefined)
    return { certificate: resolve(tlsCert), key: resolve(tlsKey), ...clientAuthority };
  const made = tlsPlaces(dataDirectory);
  if (await isThere(made.serverCertificate))
    return { certificate: made.serverCertificate, key: made.serverKey, ...clientAuthority };
  if (clientCa !== undefined)
    throw new UsageError(
      "--client-ca (PULSE_CLIENT_CA) needs TLS: run `pulse tls init`, or give --tls-cert and --tls-key",
    );
  return undefined;
}

/** What is there but cannot be read counts: to go on in plain text would be no answer to that. */
async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}
