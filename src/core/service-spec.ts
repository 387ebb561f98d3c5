import { type Endpoint, parseEndpoint } from "./endpoint.js";
import { DOWNLOAD_CLIENT_TYPE } from "./entry.js";
import { type FieldViolation, invalid } from "./errors.js";
import { checkFilePlaces, type FilePlaces } from "./file-places.js";
import { type DownloadProtocol, KIND_RULE, knownKind, protocolProblem } from "./kinds.js";
import type { ServiceSpec } from "./service.js";
import { checkText, NAME_RULE, type TextRule, textProblem } from "./text.js";

/** A spec as it came in, unchecked. */
export interface RawServiceSpec extends FilePlaces {
  readonly name: string;
  readonly type: string;
  readonly kind: string;
  readonly apiUrl: string;
  readonly healthUrl: string;
  readonly version: string;
  readonly capabilities: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly protocol: DownloadProtocol | undefined;
}

export const TYPE_RULE: TextRule = {
  min: 1,
  max: 64,
  pattern: /^[a-z0-9][a-z0-9-]*$/,
  form: "lower-case letters, digits and hyphens, such as download-client",
};
export const CAPABILITY_RULE: TextRule = {
  min: 1,
  max: 64,
  pattern: /^[a-z0-9][a-z0-9._:-]*$/,
  form: "lower-case letters, digits, dots, colons, hyphens and underscores",
};
const METADATA_KEY_RULE: TextRule = {
  min: 1,
  max: 64,
  pattern: /^[A-Za-z0-9._/-]+$/,
  form: "letters, digits, dots, hyphens, underscores and slashes",
};
const MAX_CAPABILITIES = 64;
const MAX_METADATA = 64;
const MAX_METADATA_VALUE = 1_024;
/** Of all keys and values, in UTF-8: they stay in memory, for as many services as a token may have. */
const MAX_METADATA_BYTES = 16_384;

/**
 * The checked spec; its rules are those of `pulse.v1.ServiceSpec`.
 * @throws DomainError of kind `invalid` that names every bad field, as a path below `service`.
 */
export function checkServiceSpec(raw: RawServiceSpec): ServiceSpec {
  const violations: FieldViolation[] = [];
  const isDownloadClient = raw.type === DOWNLOAD_CLIENT_TYPE;
  checkText(violations, "service.name", raw.name, NAME_RULE);
  checkText(violations, "service.type", raw.type, TYPE_RULE);
  checkText(violations, "service.kind", raw.kind, { ...KIND_RULE, min: isDownloadClient ? 1 : 0 });
  checkText(violations, "service.version", raw.version, { max: 128 });
  checkCapabilities(violations, raw.capabilities);
  checkMetadata(violations, raw.metadata);
  const endpoint = checkApiUrl(violations, raw.apiUrl, isDownloadClient);
  if (raw.healthUrl !== "") {
    const result = parseEndpoint(raw.healthUrl, { allowQuery: true });
    if (!result.ok) violations.push({ field: "service.health_url", description: result.problem });
  }
  const protocol = checkProtocol(violations, raw, isDownloadClient);
  checkFilePlaces(violations, "service", raw);
  if (violations.length > 0) throw invalid(violations);
  return { ...raw, endpoint, protocol };
}

function checkApiUrl(
  violations: FieldViolation[],
  apiUrl: string,
  required: boolean,
): Endpoint | undefined {
  const field = "service.api_url";
  if (apiUrl === "") {
    if (required)
      violations.push({ field, description: "is required: where managers reach the client's API" });
    return undefined;
  }
  const result = parseEndpoint(apiUrl);
  if (result.ok) return result.endpoint;
  violations.push({ field, description: result.problem });
  return undefined;
}

function checkProtocol(
  violations: FieldViolation[],
  raw: RawServiceSpec,
  isDownloadClient: boolean,
): DownloadProtocol | undefined {
  const known = knownKind(raw.kind)?.protocol;
  const isKind = textProblem(raw.kind, KIND_RULE) === undefined && raw.kind !== "";
  const problem = isKind ? protocolProblem(raw.kind, raw.protocol) : undefined;
  // A service of another type may be of any kind, and need not say what it fetches.
  const matters = isDownloadClient || raw.protocol !== undefined;
  if (problem !== undefined && matters)
    violations.push({ field: "service.protocol", description: problem });
  return raw.protocol ?? known;
}

function checkCapabilities(violations: FieldViolation[], capabilities: readonly string[]): void {
  if (capabilities.length > MAX_CAPABILITIES) {
    const description = `must have at most ${MAX_CAPABILITIES} items`;
    violations.push({ field: "service.capabilities", description });
    return;
  }
  capabilities.forEach((capability, i) => {
    const field = `service.capabilities[${i}]`;
    checkText(violations, field, capability, CAPABILITY_RULE);
    if (capabilities.indexOf(capability) !== i)
      violations.push({ field, description: "repeats an earlier one" });
  });
}

function checkMetadata(
  violations: FieldViolation[],
  metadata: Readonly<Record<string, string>>,
): void {
  const field = "service.metadata";
  const pairs = Object.entries(metadata);
  if (pairs.length > MAX_METADATA) {
    violations.push({ field, description: `must have at most ${MAX_METADATA} pairs` });
    return;
  }
  for (const [key, value] of pairs) {
    checkText(violations, `${field} key`, key, METADATA_KEY_RULE);
    if (METADATA_KEY_RULE.pattern?.test(key))
      checkText(violations, `${field}[${key.slice(0, 64)}]`, value, { max: MAX_METADATA_VALUE });
  }
  const bytes = pairs.flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAX_METADATA_BYTES)
    violations.push({
      field,
      description: `has ${bytes} bytes of keys and values: at most ${MAX_METADATA_BYTES} are allowed`,
    });
}
