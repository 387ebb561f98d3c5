import type { TokenSource } from "./authorization.js";
import type { RegistrationOptions } from "./registration.js";
import { checkTarget } from "./target.js";

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
  checkTarget(options);
  checkToken(options.token);
  checkMember(options);
}

/** The part of it that concerns one registration alone. */
export function checkMember({
  service,
  identity,
  ttlMs,
  standaloneAfterMs,
}: Pick<RegistrationOptions, "service" | "identity" | "ttlMs" | "standaloneAfterMs">): void {
  requireText(service?.name, "service.name", "a name for people, such as the program's");
  requireText(service?.type, "service.type", "what the program does, such as download-client");
  if (service.type === "download-client") {
    requireText(service.kind, "service.kind", "which program it is, such as qbittorrent");
    requireText(service.apiUrl, "service.apiUrl", "the URL at which managers reach its API");
  }
  for (const field of ["apiUrl", "healthUrl"] as const)
    if (service[field] !== undefined && !/^https?:$/.test(protocolOf(service[field])))
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

function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : "";
}
