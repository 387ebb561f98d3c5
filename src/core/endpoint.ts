import { hostOf, isUnspecifiedHost } from "../lib/host.js";

/** Where an API is, taken from its URL. */
export interface Endpoint {
  /** Host name or IP address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly useSsl: boolean;
  /** Empty, or `/` and a path without a slash at its end. */
  readonly urlBase: string;
}

export type EndpointResult =
  | { readonly ok: true; readonly endpoint: Endpoint }
  | { readonly ok: false; readonly problem: string };

const MAX_URL_LENGTH = 2_048;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/**
 * Takes an API URL apart by the WHATWG rules, or says what is wrong with it.
 * Other machines must be able to use the address, so an unspecified one is
 * refused; they log in with the entry's credentials, so user-info is refused.
 */
export function parseEndpoint(
  text: string,
  options: { allowQuery?: boolean } = {},
): EndpointResult {
  const fail = (problem: string): EndpointResult => ({ ok: false, problem });
  if (text.length > MAX_URL_LENGTH) return fail(`must have at most ${MAX_URL_LENGTH} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\s\u0000-\u001f\u007f]/.test(text))
    return fail("must not contain spaces or control characters");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url) return fail("must be a URL such as http://192.168.1.10:8080");
  const defaultPort = DEFAULT_PORTS[url.protocol];
  if (defaultPort === undefined) return fail("must begin with http:// or https://");
  // What WHATWG forgives (`http:host`, backslashes), other programs would read otherwise.
  if (!/^https?:\/\/[^/]/i.test(text) || text.includes("\\"))
    return fail("must be written as http://host or https://host, with / and not \\");
  if (/^[^/]+\/\/[^/?#]*@/.test(text))
    return fail("must not contain user-info; send service_username and service_api_key instead");
  if (url.hash !== "" || text.includes("#")) return fail("must not contain a fragment (#)");
  if (!options.allowQuery && (url.search !== "" || text.includes("?")))
    return fail("must not contain a query (?)");
  const host = hostOf(url);
  if (isUnspecifiedHost(host))
    return fail(`must name an address that other machines can reach, not ${host}`);
  const port = url.port === "" ? defaultPort : Number(url.port);
  if (port === 0) return fail("must have a port from 1 to 65535");
  return {
    ok: true,
    endpoint: {
      host,
      port,
      useSsl: url.protocol === "https:",
      urlBase: url.pathname.replace(/\/+$/, ""),
    },
  };
}
