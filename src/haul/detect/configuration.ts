import { inUrl, isLoopbackHost, isUnspecifiedHost } from "../../lib/host.js";

/** What a download client's own configuration file says of it. */
export interface Configuration {
  /** Where it is reached from this host. */
  readonly url: string;
  readonly username?: string;
  /** Only as far as it is there in clear. Never printed. */
  readonly secret?: string;
  /** It keeps no secret but a hash, so nobody can read it there. */
  readonly isHashed?: true;
  /** It asks nobody for a secret. */
  readonly isOpen?: true;
  /** Where it puts what it has fetched, absolute. */
  readonly downloadDirectory?: string;
}

/** How the configuration of one kind is found and read. */
export interface ConfigurationReader {
  readonly kind: string;
  /** Files in the home directory of whoever runs it; the first that is there counts. */
  readonly inHome: readonly string[];
  /** Home directories of users whom packages make for it; a `*` at the end stands for any rest. */
  readonly serviceHomes: readonly string[];
  /** Files elsewhere. */
  readonly elsewhere: readonly string[];
  /**
   * @param home of whoever runs it; undefined: that is not known
   * @returns undefined if this is no such file, or if nobody is served by what it says
   */
  read(text: string, home: string | undefined): Configuration | undefined;
}

export interface Listening {
  readonly isTls?: boolean;
  /** As configured; empty, `*` or unspecified: everywhere. */
  readonly host?: string | undefined;
  readonly port: string | number | undefined;
  /** URL base, with or without its slashes. */
  readonly base?: string | undefined;
}

/** The URL at which this host reaches what listens like that; undefined if that cannot be. */
export function localUrl({ isTls, host = "", port, base = "" }: Listening): string | undefined {
  const isEverywhere = host === "" || host === "*" || isUnspecifiedHost(host);
  const isLocal = isEverywhere || (isLoopbackHost(host) && host !== "::1");
  const path = base.replace(/^\/+|\/+$/g, "");
  const origin = `${isTls ? "https" : "http"}://${isLocal ? "127.0.0.1" : inUrl(host)}:${port}`;
  const url = path === "" ? origin : `${origin}/${path}`;
  return URL.canParse(url) ? url : undefined;
}

/** A directory that may begin with `~`, as an absolute path; no field if it is none. */
export function downloadDirectory(
  path: string | undefined,
  home: string | undefined,
): Pick<Configuration, "downloadDirectory"> {
  const full = home === undefined ? path : path?.replace(/^~(?=\/|$)/, home);
  return full?.startsWith("/") ? { downloadDirectory: full } : {};
}

/** A field, unless there is nothing in it. */
export function field<Name extends string>(
  name: Name,
  value: string | undefined,
): { readonly [Key in Name]?: string } {
  return (value ? { [name]: value } : {}) as { readonly [Key in Name]?: string };
}
