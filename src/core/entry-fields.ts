import { hostOf, isUnspecifiedHost } from "../lib/host.js";
import { parseEndpoint } from "./endpoint.js";
import type { Access, OperatorFields, Target } from "./entry.js";
import type { FieldViolation } from "./errors.js";
import { checkFilePlaces } from "./file-places.js";
import { KIND_RULE } from "./kinds.js";
import { checkText, NAME_RULE, type TextRule } from "./text.js";

// The bounds of `pulse.v1.DownloadClient`, for what an operator sends. Fields that
// are absent are not looked at; `path` names the message that they are fields of.

const CATEGORY_RULE: TextRule = { max: 128 };
const DIRECTORY_RULE: TextRule = { max: 1_024 };
const TAG_RULE: TextRule = { ...NAME_RULE, max: 64 };
const MAX_TAGS = 64;
const MAX_SETTINGS_BYTES = 65_536;
/**
 * Objects and lists within each other. Each is up to three levels of messages, of
 * which many protobuf libraries read 100: deeper ones would make whole lists
 * unreadable.
 */
const MAX_SETTINGS_DEPTH = 32;
/** Of a name in DNS, in characters. */
const MAX_HOST = 253;
export const USERNAME_RULE: TextRule = { max: 256 };
export const SECRET_RULE: TextRule = { max: 4_096 };

export function checkOperatorFields(
  violations: FieldViolation[],
  path: string,
  fields: Partial<OperatorFields>,
): void {
  const { name, priority, category, directory, tags, settings } = fields;
  const check = (field: string, text: string | undefined, rule: TextRule) =>
    text !== undefined && checkText(violations, `${path}.${field}`, text, rule);
  check("name", name, NAME_RULE);
  if (priority !== undefined && !(priority >= 1 && priority <= 100))
    violations.push({ field: `${path}.priority`, description: "must be from 1 to 100" });
  check("category", category, CATEGORY_RULE);
  check("directory", directory, DIRECTORY_RULE);
  if (tags) checkTags(violations, `${path}.tags`, tags);
  if (settings) checkSettings(violations, `${path}.settings`, settings);
}

function checkTags(violations: FieldViolation[], path: string, tags: readonly string[]): void {
  if (tags.length > MAX_TAGS) {
    violations.push({ field: path, description: `must have at most ${MAX_TAGS} items` });
    return;
  }
  tags.forEach((tag, i) => {
    const field = `${path}[${i}]`;
    checkText(violations, field, tag, TAG_RULE);
    if (tags.indexOf(tag) !== i) violations.push({ field, description: "repeats an earlier one" });
  });
}

function checkSettings(violations: FieldViolation[], field: string, settings: object): void {
  const problem = settingsProblem(settings, 1);
  if (problem !== undefined) {
    violations.push({ field, description: problem });
    return;
  }
  // A character has at most three bytes: count them only where that decides.
  const text = JSON.stringify(settings);
  const isTooLong =
    text.length > MAX_SETTINGS_BYTES ||
    (text.length > MAX_SETTINGS_BYTES / 3 && byteLength(text) > MAX_SETTINGS_BYTES);
  if (isTooLong)
    violations.push({
      field,
      description: `must have at most ${MAX_SETTINGS_BYTES} bytes as JSON`,
    });
}

/** JSON keeps what UTF-8 cannot: a list would say one thing over HTTP/1.1 and another over gRPC. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** @param depth how many objects and lists the value is in, itself included */
function settingsProblem(value: unknown, depth: number): string | undefined {
  if (typeof value === "number" && !Number.isFinite(value))
    return "must not contain NaN or Infinity: JSON has neither";
  if (typeof value === "string" && LONE_SURROGATE.test(value))
    return "must not contain half a character (a lone surrogate)";
  if (typeof value !== "object" || value === null) return undefined;
  if (depth > MAX_SETTINGS_DEPTH)
    return `must not be nested more than ${MAX_SETTINGS_DEPTH} levels deep`;
  for (const [key, item] of Object.entries(value)) {
    const problem = settingsProblem(key, depth) ?? settingsProblem(item, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** The same access in the form in which it is kept; what is wrong with it is added to `violations`. */
export function checkAccess<Fields extends Partial<Access>>(
  violations: FieldViolation[],
  path: string,
  fields: Fields,
): Fields {
  const { host, port, urlBase, username, password } = fields;
  checkText(violations, `${path}.username`, username ?? "", USERNAME_RULE);
  checkText(violations, `${path}.password`, password ?? "", SECRET_RULE);
  if (port !== undefined && !(port >= 1 && port <= 65_535))
    violations.push({ field: `${path}.port`, description: "must be from 1 to 65535" });
  return {
    ...fields,
    ...(host === undefined ? {} : { host: checkHost(violations, `${path}.host`, host) }),
    ...(urlBase === undefined
      ? {}
      : { urlBase: checkUrlBase(violations, `${path}.url_base`, urlBase) }),
  };
}

/** Host as the WHATWG rules write it. */
function checkHost(violations: FieldViolation[], field: string, host: string): string {
  const parsed = parseHost(host);
  if (parsed !== undefined && !isUnspecifiedHost(parsed)) return parsed;
  const description =
    host === ""
      ? "is required: the name or address of the client's host"
      : parsed === undefined
        ? "must be a host name or an IP address alone, such as nas.local or 192.168.1.10"
        : `must name an address that other machines can reach, not ${parsed}`;
  violations.push({ field, description });
  return host;
}

/** The host that is all of a text, or undefined. */
function parseHost(text: string): string | undefined {
  if (text.length > MAX_HOST) return undefined; // first: what follows takes long for long texts
  const isIpv6 = /^[0-9a-f.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
  if (!isIpv6 && !/^[^\s\p{Cc}:/?#@\\%]+$/u.test(text)) return undefined;
  const url = `http://${isIpv6 ? `[${text}]` : text}`;
  if (!URL.canParse(url)) return undefined;
  const host = hostOf(new URL(url));
  if (isIpv6 || isUnspecifiedHost(host)) return host;
  // WHATWG takes any number for an IPv4 address: a port in the wrong field would become one.
  if (/^\d+(\.\d+){3}$/.test(host)) return host === text ? host : undefined;
  return host.length <= MAX_HOST && HOST_NAME.test(host) ? host : undefined;
}

/** WHATWG forgives empty labels, and marks such as commas. */
const HOST_NAME = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/;

function checkUrlBase(violations: FieldViolation[], field: string, urlBase: string): string {
  if (urlBase === "") return urlBase;
  const result = parseEndpoint(`http://host${urlBase}`);
  if (urlBase.startsWith("/") && !urlBase.startsWith("//") && result.ok)
    return result.endpoint.urlBase;
  violations.push({ field, description: "must be empty or a path such as /qbittorrent" });
  return urlBase;
}

/** As `checkAccess`. Whether kind and protocol go together is for `protocolProblem`. */
export function checkTarget<Fields extends Partial<Target>>(
  violations: FieldViolation[],
  path: string,
  fields: Fields,
): Fields {
  if (fields.kind !== undefined)
    checkText(violations, `${path}.kind`, fields.kind, { ...KIND_RULE, min: 1 });
  checkFilePlaces(violations, path, fields);
  return checkAccess(violations, path, fields);
}
