import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import type { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import {
  type HeartbeatRequestSchema,
  type HeartbeatResponse,
  LeaseLostReason,
  type RegisterRequestSchema,
  type RegisterResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { oneLine } from "../lib/one-line.js";
import { boundedFloor, unavailable } from "./failure.js";
import type { Identity } from "./identity.js";
import type {
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "./registration.js";
import type { LostReason, SessionEvent } from "./session-state.js";

export const PROTOCOLS = { torrent: Protocol.TORRENT, usenet: Protocol.USENET } as const;
export const CREDENTIAL_STATES = {
  unverified: CredentialState.UNVERIFIED,
  verified: CredentialState.VERIFIED,
  rejected: CredentialState.REJECTED,
} as const;
const STATUSES = {
  online: ServiceStatus.ONLINE,
  degraded: ServiceStatus.DEGRADED,
  offline: ServiceStatus.OFFLINE,
} as const;
const LOST_REASONS: Readonly<Record<LeaseLostReason, LostReason>> = {
  [LeaseLostReason.UNSPECIFIED]: "unknown",
  [LeaseLostReason.UNKNOWN]: "unknown",
  [LeaseLostReason.EXPIRED]: "expired",
  [LeaseLostReason.SUPERSEDED]: "superseded",
  [LeaseLostReason.DEREGISTERED]: "deregistered",
};
const MAX_UINT32 = 2 ** 32 - 1;
/** In characters; Pulse cuts the reason of a heartbeat, and refuses a Register with a longer one. */
const MAX_REASON_LENGTH = 256;

/** No answer makes the client send heartbeats more often than this. */
const MIN_INTERVAL_MS = 100;

export interface Described {
  readonly service: ServiceDescription;
  readonly credentials: ServiceCredentials | undefined;
}

/** @param leaseId the lease that this process holds, by which Pulse tells it from a second one */
export function toRegisterRequest(
  { service, credentials }: Described,
  identity: Identity,
  health: ServiceHealth | undefined,
  ttlMs: number | undefined,
  leaseId: string | undefined,
): MessageInitShape<typeof RegisterRequestSchema> {
  const { protocol, capabilities, metadata, pathMappings, ...texts } = service;
  return {
    ...identity,
    service: {
      ...texts,
      capabilities: [...(capabilities ?? [])],
      metadata: { ...metadata },
      pathMappings: [...(pathMappings ?? [])],
      ...(protocol && { protocol: PROTOCOLS[protocol] }),
    },
    ...(credentials?.username !== undefined && { serviceUsername: credentials.username }),
    ...(credentials?.apiKey !== undefined && { serviceApiKey: credentials.apiKey }),
    ...(credentials?.state && { credentialState: CREDENTIAL_STATES[credentials.state] }),
    ...(ttlMs !== undefined && { requestedTtl: durationFromMs(Math.round(ttlMs)) }),
    ...(leaseId !== undefined && { leaseId }),
    ...toStatus(health),
  };
}

/** @param isVerified whether the registered credentials were accepted since the heartbeat before */
export function toHeartbeat(
  lease: { readonly leaseId: string; readonly sequence: number },
  health: ServiceHealth | undefined,
  load: ServiceLoad | undefined,
  isVerified = false,
): MessageInitShape<typeof HeartbeatRequestSchema> {
  return {
    leaseId: lease.leaseId,
    sequence: BigInt(lease.sequence),
    ...toStatus(health),
    ...(load && { load: toLoad(load) }),
    ...(isVerified && { credentialState: CredentialState.VERIFIED }),
  };
}

function toStatus(health: ServiceHealth | undefined) {
  if (!health) return undefined;
  // Often some program's error message: a Register must not be refused for its form.
  const statusReason = oneLine(health.reason ?? "", MAX_REASON_LENGTH);
  return { status: STATUSES[health.status], statusReason };
}

/** What a program measured may be odd; a number that cannot be right is sent as unknown. */
function toLoad(load: ServiceLoad): MessageInitShape<typeof LoadSchema> {
  const known = (value: number | undefined): value is number =>
    value !== undefined && Number.isFinite(value) && value >= 0;
  const big = (value: number) => BigInt(Math.trunc(Math.min(value, Number.MAX_SAFE_INTEGER)));
  const small = (value: number) => Math.min(Math.trunc(value), MAX_UINT32);
  return {
    ...(known(load.freeBytes) && { freeBytes: big(load.freeBytes) }),
    ...(known(load.active) && { active: small(load.active) }),
    ...(known(load.queued) && { queued: small(load.queued) }),
    ...(known(load.downloadBytesPerSecond) && {
      downloadBytesPerSecond: big(load.downloadBytesPerSecond),
    }),
    ...(known(load.uploadBytesPerSecond) && {
      uploadBytesPerSecond: big(load.uploadBytesPerSecond),
    }),
  };
}

export function fromRegisterResponse(response: RegisterResponse): SessionEvent {
  const { service, lease, generation, epoch, revision, downloadClient } = response;
  if (!service || !lease?.id || !lease.ttl)
    return {
      type: "register-failed",
      failure: unavailable("Pulse answered a Register without service or lease"),
    };
  const ttlMs = durationMs(lease.ttl);
  return {
    type: "register-succeeded",
    grant: {
      serviceId: service.id,
      instanceId: service.instanceId,
      leaseId: lease.id,
      ttlMs,
      generation,
      epoch,
      revision,
      entryName: downloadClient?.name,
      ...(service.status === ServiceStatus.PENDING && { waitsForApproval: true }),
    },
    intervalMs: intervalOf(
      lease.heartbeatInterval ? durationMs(lease.heartbeatInterval) : ttlMs / 3,
    ),
  };
}

/** Undefined: a kind of answer that this client does not know, to be ignored. */
export function fromHeartbeatResponse({ event }: HeartbeatResponse): SessionEvent | undefined {
  switch (event.case) {
    case "renewed": {
      const { leaseId, sequence, ttl, heartbeatInterval } = event.value;
      return {
        type: "acknowledged",
        leaseId,
        sequence: Number(sequence),
        ttlMs: ttl && durationMs(ttl),
        intervalMs: heartbeatInterval && intervalOf(durationMs(heartbeatInterval)),
      };
    }
    case "leaseLost":
      return {
        type: "lease-lost",
        leaseId: event.value.leaseId,
        reason: LOST_REASONS[event.value.reason] ?? "unknown",
      };
    case "draining": {
      const { retryAfter } = event.value;
      return {
        type: "draining",
        retryAfterMs: retryAfter ? boundedFloor(durationMs(retryAfter)) : 0,
      };
    }
    case undefined:
      return undefined;
  }
}

function intervalOf(ms: number): number {
  return Math.max(MIN_INTERVAL_MS, ms);
}
