import type { TokenSource } from "./authorization.js";
import type { RegistrationOptions } from "./registration.js";

/** Port of Pulse unless another is named. */
const DEFAULT_PORT = 9696;

/**
 * `http://host:port` from `host`, `host:port` or a URL; a bare host means port 9696.
 *
 * @throws TypeError that says what a usable address looks like.
 */
export function parsePulseAddress(pulse: string): string {
  const usable = "give the address of Pulse as http://host:9696 or host:9696";
  if (typeof pulse !== "string" || pulse === "") throw new TypeError(`pulse is empty: ${usable}`);
  const isUrl = pulse.includes("://");
  const url = parseUrl(isUrl ? pulse : `http://${pulse}`);
  if (!url?.hostname || !["http:", "https:"].includes(url.protocol))
    throw new TypeError(`pulse is not an address: ${usable}`);
  // Such a URL may hold a secret, so it is not repeated.
  if (url.username || url.password)
    throw new TypeError(`pulse must not contain a user or password: ${usable}`);
  if (url.pathname !== "/" || url.search || url.hash)
    throw new TypeError(`pulse must not have a path, query or fragment: ${usable}`);
  const schemePort = url.protocol === "https:" ? 443 : 80;
  const namesPort = /:\d+$/.test(pulse);
  const port = url.port || (isUrl || namesPort ? schemePort : DEFAULT_PORT);
  return `${url.protocol}//${url.hostname}:${port}`;
}

/**
 * Several addresses with commas between, each as `parsePulseAddress` reads it, and
 * each once.
 *
 * @throws TypeError that says what usable addresses look like.
 */
export function parsePulseAddresses(pulse: string): readonly string[] {
  if (typeof pulse !== "string") return [parsePulseAddress(pulse)];
  const parts = pulse.split(",").map((part) => part.trim());
  if (parts.length > 1 && parts.includes(""))
    throw new TypeError(
      "pulse has an empty address between its commas: give addresses as in host-a:9696,host-b:9696",
    );
  const addresses = [...new Set(parts.map(parsePulseAddress))];
  if (new Set(addresses.map((address) => new URL(address).protocol)).size > 1)
    throw new TypeError(
      "pulse mixes http and https: give all its addresses the same scheme, as in https://host-a:9696,https://host-b:9696",
    );
  return addresses;
}

/** @throws TypeError if this is neither a function nor a token that fits into a header. */
export function checkToken(token: TokenSource): TokenSource {
  if (typeof token === "function") return token;
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token.trim()))
    throw new TypeError(
      "token is empty or has characters that no token has: give the text that `pulse token create` printed",
    );
  return token.trim();
}

/**
 * Checks what can be known without asking Pulse; Pulse checks the rest.
 *
 * @throws TypeError that names the option and says what to do.
 */
export function checkRegistrationOptions(options: RegistrationOptions): void {
  parsePulseAddresses(options.pulse);
  checkToken(options.token);
  const { service, identity, ttlMs, standaloneAfterMs } = options;
  requireText(service?.name, "service.name", "a name for people, such as the program's");
  requireText(service?.type, "service.type", "what the program does, such as download-client");
  if (service.type === "download-client") {
    requireText(service.kind, "service.kind", "which program it is, such as qbittorrent");
    requireText(service.apiUrl, "service.apiUrl", "the URL at which managers reach its API");
  }
  for (const field of ["apiUrl", "healthUrl"] as const)
    if (service[field] !== undefined && !/^https?:$/.test(parseUrl(service[field])?.protocol ?? ""))
      throw new TypeError(`service.${field} is not an http or https URL`);
  if (identity && "directory" in identity) {
    requireText(identity.directory, "identity.directory", "a directory that is kept");
  } else {
    requireText(identity?.instanceId, "identity.instanceId", "the id of this running copy");
    const { length } = identity.instanceSecret ?? "";
    if (length < 16 || length > 512)
      throw new TypeError("identity.instanceSecret must have 16 to 512 characters");
  }
  if (ttlMs !== undefined && !(ttlMs >= 5_000 && ttlMs <= 300_000))
    throw new TypeError("ttlMs must be from 5000 to 300000; leave it out for Pulse's default");
  if (standaloneAfterMs !== undefined && !(standaloneAfterMs >= 0))
    throw new TypeError("standaloneAfterMs must be 0 or more; leave it out for 120000");
}

function requireText(value: string | undefined, option: string, what: string): void {
  if (typeof value !== "string" || value.trim() === "")
    throw new TypeError(`${option} is missing: give ${what}`);
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
