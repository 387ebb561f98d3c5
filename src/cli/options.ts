import type { DescEnum } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError, Option } from "commander";
import { checkTlsOptions, type PathMapping, parsePulseAddresses } from "../client/index.js";
import { parseAbsolutePath } from "../lib/absolute-path.js";
import { hostOf, isUnspecifiedHost } from "../lib/host.js";
import { type HostPort, readHostPort } from "../lib/host-port.js";
import { isNetwork } from "../lib/probe-address.js";
import { UsageError } from "./failure.js";

export const DEFAULT_PULSE_URL = "http://127.0.0.1:9696";

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Reads `127.0.0.1:9696` or `[::1]:9696`. */
export function parseHostPort(text: string): HostPort {
  const address = readHostPort(text);
  if (!address)
    throw new InvalidArgumentError(
      "Give HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9696 or [::1]:9696.",
    );
  return address;
}

/**
 * Reads Pulse's addresses, each a URL or `host:port` or `host`, with commas between,
 * and returns them as URLs without a path, with commas between.
 */
export function parsePulseUrl(text: string): string {
  try {
    return parsePulseAddresses(text)
      .map((address) => new URL(address).origin)
      .join(",");
  } catch {
    throw new InvalidArgumentError(
      `Give Pulse's address without a path or user name, such as ${DEFAULT_PULSE_URL}, or the addresses of several nodes with commas between, all http or all https.`,
    );
  }
}

/** Reads the SHA-256 fingerprint of a certificate. */
export function parseFingerprint(text: string): string {
  try {
    checkTlsOptions({ fingerprint: text });
    return text;
  } catch {
    throw new InvalidArgumentError(
      "Give the 64 hex digits of a SHA-256 fingerprint, with or without colons.",
    );
  }
}

/** Reads the URL of a download client. */
export function parseApiUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new InvalidArgumentError("Give an http or https URL, such as http://127.0.0.1:8080.");
  if (url.username !== "" || url.password !== "")
    throw new InvalidArgumentError(
      "Give the user name with --username and the password with --password-file.",
    );
  if (url.search !== "" || url.hash !== "")
    throw new InvalidArgumentError("Give the URL without a query or fragment.");
  if (isUnspecifiedHost(hostOf(url)))
    throw new InvalidArgumentError(
      "Give the host's name or address: others cannot reach the unspecified one.",
    );
  return text;
}

/** Reads `/downloads=/data/downloads`, and adds it to those that came before. A path may have an equals sign in it. */
export function parsePathMapping(text: string, before: readonly PathMapping[] = []): PathMapping[] {
  for (let at = text.indexOf("="); at >= 0; at = text.indexOf("=", at + 1)) {
    const [clientPath, managerPath] = [text.slice(0, at), text.slice(at + 1)];
    if (parseAbsolutePath(clientPath) && parseAbsolutePath(managerPath))
      return [...before, { clientPath, managerPath }];
  }
  throw new InvalidArgumentError(
    "Give CLIENT=MANAGER, both absolute paths, such as /downloads=/data/downloads.",
  );
}

/** Reads networks with commas between, and adds them to those that came before. */
export function parseNetworks(text: string, before: readonly string[] = []): readonly string[] {
  const networks = text.split(",").map((network) => network.trim());
  if (!networks.every(isNetwork))
    throw new InvalidArgumentError(
      "Give networks such as 192.168.1.0/24 or fd00::/8, with commas between.",
    );
  return [...before, ...networks];
}

/** Reads a name for people. */
export function parseName(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give a name that is not empty.");
  return text.trim();
}

/** Reads a whole number within these bounds. */
export function parseWholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

/** Whether a variable such as PULSE_INSECURE says yes. Commander would take `false` for a yes. */
export function readSwitch(name: string, env: NodeJS.ProcessEnv): boolean {
  const text = env[name]?.toLowerCase() ?? "";
  if (["1", "true", "yes"].includes(text)) return true;
  if (["", "0", "false", "no"].includes(text)) return false;
  throw new UsageError(`variable ${name} must be true or false`);
}

export function hostPortOption(variable: string, defaultText: string): Option {
  return new Option("--listen <host:port>", "address to listen on")
    .env(variable)
    .argParser(parseHostPort)
    .default(parseHostPort(defaultText), defaultText);
}

export function logLevelOption(variable: string): Option {
  return new Option("--log-level <level>", "least level to log")
    .env(variable)
    .choices(LOG_LEVELS)
    .default("info");
}

export function pulseUrlOption(): Option {
  return new Option("--pulse <url>", "where Pulse is; several nodes with commas between")
    .env("PULSE_URL")
    .argParser(parsePulseUrl)
    .default(DEFAULT_PULSE_URL, `${DEFAULT_PULSE_URL}, or https if Pulse here has tls/ca.crt`);
}

/** Adds what a program has that connects to Pulse: whom it trusts, and as whom it comes. */
export function addSecurityOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--ca <file>",
        "PEM file with the authority that has signed Pulse's certificate; default on Pulse's host: the one in its data directory, else what Node trusts",
      ).env("PULSE_CA"),
    )
    .addOption(
      new Option("--cert <file>", "PEM file with the certificate to show to Pulse").env(
        "PULSE_CERT",
      ),
    )
    .addOption(new Option("--key <file>", "PEM file with its private key").env("PULSE_KEY"))
    .addOption(
      new Option(
        "--fingerprint <sha256>",
        "fingerprint that Pulse's certificate must have; without --ca it alone decides",
      )
        .env("PULSE_FINGERPRINT")
        .argParser(parseFingerprint),
    )
    .addOption(
      new Option(
        "--insecure",
        "allow plain text to Pulse on another host (env: PULSE_INSECURE=true)",
      ),
    );
}

export function haulNameOption(): Option {
  return new Option("--name <name>", "name for people; two Hauls on one host need two")
    .env("HAUL_NAME")
    .argParser(parseName)
    .default("haul");
}

export function haulDataOption(): Option {
  return new Option(
    "--data <directory>",
    "where to keep identity and API key; default $XDG_STATE_HOME/haul/NAME, else ~/.local/state/haul/NAME",
  ).env("HAUL_DATA");
}

export function pulseDataOption(): Option {
  return new Option(
    "--data <directory>",
    "Pulse's data directory; default $XDG_STATE_HOME/pulse, else ~/.local/state/pulse",
  ).env("PULSE_DATA");
}

export function tokenFileOption(): Option {
  return new Option(
    "--token-file <file>",
    "file with the token; else PULSE_TOKEN, else the token in Pulse's data directory on this host",
  ).env("PULSE_TOKEN_FILE");
}

export function jsonOption(description = "print one JSON object instead of text"): Option {
  return new Option("--json", description);
}

export function showCredentialsOption(): Option {
  return new Option(
    "--show-credentials",
    "show user names and passwords, which are left out otherwise",
  );
}

/** An option that takes words for the values of an enum, several of them unless told `single`. */
export function enumOption(
  flag: string,
  description: string,
  schema: DescEnum,
  arity: "single" | "several" = "several",
): Option {
  const value = arity === "single" ? flag : `${flag}...`;
  return new Option(`--${flag} <${value}>`, description).choices(enumWords(schema));
}

/** The values of an enum as words: `SERVICE_STATUS_ONLINE` is `online`. */
export function enumWords(schema: DescEnum): string[] {
  return schema.values
    .filter((value) => value.number !== 0)
    .map((value) => wordOf(value.localName));
}

/** The number of a word from `enumWords`; 0, which means "any", for none. */
export function enumNumber(schema: DescEnum, word: string | undefined): number {
  return schema.values.find((value) => wordOf(value.localName) === word)?.number ?? 0;
}

/** The word for an enum value; `unspecified` for one this program does not know. */
export function enumWord(schema: DescEnum, number: number): string {
  return wordOf(schema.value[number]?.localName ?? "UNSPECIFIED");
}

function wordOf(localName: string): string {
  return localName.toLowerCase().replaceAll("_", "-");
}
