/** A URL's host name or IP address; an IPv6 address without its brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** A host as it stands in a URL: an IPv6 address gets its brackets. */
export function inUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** An IP address as people write it: an IPv4 address that is mapped into IPv6 (`::ffff:10.0.0.1`) by itself. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

/**
 * Whether nothing but this host is behind it: `localhost`, `::1` or an address of
 * 127.0.0.0/8. An IPv6 address must come without brackets.
 */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || LOOPBACK_IPV4.test(host);
}

const LOOPBACK_IPV4 = /^127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** 0.0.0.0 and ::, the mapped ::ffff:0.0.0.0 too, as URL has normalised them: nobody can connect to these. */
export function isUnspecifiedHost(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "::ffff:0:0";
}
