import type { MessageInitShape } from "@bufbuild/protobuf";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import type { WatchDownloadClientsRequestSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesRequestSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { CREDENTIAL_STATES, PROTOCOLS } from "./convert.js";
import type { DownloadClientFilter, ServiceFilter } from "./watching.js";

const AVAILABILITIES = {
  online: Availability.ONLINE,
  degraded: Availability.DEGRADED,
  offline: Availability.OFFLINE,
} as const;
const STATUSES = {
  online: ServiceStatus.ONLINE,
  degraded: ServiceStatus.DEGRADED,
  offline: ServiceStatus.OFFLINE,
  pending: ServiceStatus.PENDING,
} as const;

// A filter is the same in whatever order its words come, so that a cache made
// with one is found with the other. Pulse checks what is not checked here.

/** @throws TypeError that names the option and what it may be */
export function toDownloadClientFilter(
  filter: DownloadClientFilter = {},
): MessageInitShape<typeof WatchDownloadClientsRequestSchema> {
  const { protocol, kinds, availabilities, credentialStates, enabled, ...unknown } = filter;
  refuseUnknown(unknown);
  if (enabled !== undefined && typeof enabled !== "boolean")
    throw new TypeError("filter.enabled must be true or false");
  return {
    ...(protocol !== undefined && {
      protocol: meaningOf("filter.protocol", PROTOCOLS, protocol),
    }),
    kinds: setOf("filter.kinds", kinds),
    availabilities: setOf("filter.availabilities", availabilities).map((word) =>
      meaningOf("filter.availabilities", AVAILABILITIES, word),
    ),
    credentialStates: setOf("filter.credentialStates", credentialStates).map((word) =>
      meaningOf("filter.credentialStates", CREDENTIAL_STATES, word),
    ),
    ...(enabled !== undefined && { enabled }),
  };
}

/** @throws TypeError that names the option and what it may be */
export function toServiceFilter(
  filter: ServiceFilter = {},
): MessageInitShape<typeof WatchServicesRequestSchema> {
  const { type, capabilities, statuses, ...unknown } = filter;
  refuseUnknown(unknown);
  if (type !== undefined && typeof type !== "string")
    throw new TypeError("filter.type must be a text");
  return {
    ...(type !== undefined && { type }),
    capabilities: setOf("filter.capabilities", capabilities),
    statuses: setOf("filter.statuses", statuses).map((word) =>
      meaningOf("filter.statuses", STATUSES, word),
    ),
  };
}

/** From JavaScript, `kind` instead of `kinds` would watch everything. */
function refuseUnknown(unknown: object): void {
  const [name] = Object.keys(unknown);
  if (name !== undefined) throw new TypeError(`filter.${name} is no filter of this watch`);
}

function setOf<Word extends string>(option: string, words: readonly Word[] = []): Word[] {
  if (!Array.isArray(words) || words.some((word) => typeof word !== "string"))
    throw new TypeError(`${option} must be a list of texts`);
  return [...new Set(words)].sort();
}

function meaningOf<Word extends string, Value>(
  option: string,
  words: Readonly<Record<Word, Value>>,
  word: Word,
): Value {
  if (Object.hasOwn(words, word)) return words[word];
  throw new TypeError(`${option} knows only ${Object.keys(words).join(", ")}`);
}
