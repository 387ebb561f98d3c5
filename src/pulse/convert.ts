import { create, type JsonObject } from "@bufbuild/protobuf";
import { type Duration, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  Availability,
  type DownloadClient,
  DownloadClientSchema,
  AuthScheme as ProtoAuthScheme,
  CredentialState as ProtoCredentialState,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import type { PathMapping as ProtoPathMapping } from "../../gen/pulse/v1/path_mapping_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import {
  type Lease,
  LeaseSchema,
  type ServiceSpec as ProtoServiceSpec,
  ServiceStatus as ProtoServiceStatus,
  type Service,
  ServiceSchema,
} from "../../gen/pulse/v1/service_pb.js";
import {
  Scope as ProtoScope,
  type Token,
  TokenSchema,
} from "../../gen/pulse/v1/token_service_pb.js";
import { type Access, type EntryFacts, isVisible, type ResolvedEntry } from "../core/entry.js";
import { etagOf } from "../core/entry-command.js";
import { invalidField } from "../core/errors.js";
import type { PathMapping } from "../core/file-places.js";
import { type AuthScheme, type DownloadProtocol, knownKind } from "../core/kinds.js";
import type { Grant } from "../core/lease.js";
import type { CredentialState, ServiceRecord, ServiceStatus } from "../core/service.js";
import type { RawServiceSpec } from "../core/service-spec.js";
import { type ShownStatus, shownReason, shownStatus } from "../core/shown-status.js";
import type { Scope, TokenRecord } from "../core/token.js";
import type { Signs } from "./entry-signs.js";
import { durationOf } from "./status.js";

const PROTOCOLS: Readonly<Record<DownloadProtocol, Protocol>> = {
  torrent: Protocol.TORRENT,
  usenet: Protocol.USENET,
};

const STATUSES: Readonly<Record<ShownStatus, ProtoServiceStatus>> = {
  online: ProtoServiceStatus.ONLINE,
  degraded: ProtoServiceStatus.DEGRADED,
  offline: ProtoServiceStatus.OFFLINE,
  pending: ProtoServiceStatus.PENDING,
};

const AVAILABILITIES: Readonly<Record<ServiceStatus, Availability>> = {
  online: Availability.ONLINE,
  degraded: Availability.DEGRADED,
  offline: Availability.OFFLINE,
};

const CREDENTIAL_STATES: Readonly<Record<CredentialState, ProtoCredentialState>> = {
  unverified: ProtoCredentialState.UNVERIFIED,
  verified: ProtoCredentialState.VERIFIED,
  rejected: ProtoCredentialState.REJECTED,
};

const AUTH_SCHEMES: Readonly<Record<AuthScheme, ProtoAuthScheme>> = {
  none: ProtoAuthScheme.NONE,
  session: ProtoAuthScheme.SESSION,
  basic: ProtoAuthScheme.BASIC,
  "api-key": ProtoAuthScheme.API_KEY,
  "rpc-secret": ProtoAuthScheme.RPC_SECRET,
  "password-only": ProtoAuthScheme.PASSWORD_ONLY,
  unknown: ProtoAuthScheme.UNSPECIFIED,
};

const SCOPES: Readonly<Record<Scope, ProtoScope>> = {
  register: ProtoScope.REGISTER,
  discover: ProtoScope.DISCOVER,
  observe: ProtoScope.OBSERVE,
  admin: ProtoScope.ADMIN,
  join: ProtoScope.JOIN,
};

/** The word for an enum value of the wire, or undefined for UNSPECIFIED and values we do not know. */
function fromWire<Word extends string>(
  table: Readonly<Record<Word, number>>,
  value: number,
): Word | undefined {
  return (Object.keys(table) as Word[]).find((word) => table[word] === value);
}

/** A word for an enum field that was set; UNSPECIFIED is undefined, an unknown value refused. */
export function readEnum<Word extends string>(
  table: Readonly<Record<Word, number>>,
  value: number,
  field: string,
): Word | undefined {
  const word = fromWire(table, value);
  if (word === undefined && value !== 0)
    throw invalidField(field, `has no value ${value}; use one of ${Object.keys(table).join(", ")}`);
  return word;
}

export function readStatus(value: ProtoServiceStatus, field: string): ShownStatus | undefined {
  return readEnum(STATUSES, value, field);
}

export function readAvailability(value: Availability, field: string): ServiceStatus | undefined {
  return readEnum(AVAILABILITIES, value, field);
}

export function readProtocol(value: Protocol, field: string): DownloadProtocol | undefined {
  return readEnum(PROTOCOLS, value, field);
}

export function readCredentialState(
  value: ProtoCredentialState,
  field: string,
): CredentialState | undefined {
  return readEnum(CREDENTIAL_STATES, value, field);
}

export function readScope(value: ProtoScope, field: string): Scope {
  const scope = readEnum(SCOPES, value, field);
  if (!scope) throw invalidField(field, `must be one of ${Object.keys(SCOPES).join(", ")}`);
  return scope;
}

export function readSpec(spec: ProtoServiceSpec): RawServiceSpec {
  const { name, type, kind, apiUrl, healthUrl, version, capabilities, metadata } = spec;
  const protocol = readProtocol(spec.protocol, "service.protocol");
  const { downloadDirectory } = spec;
  const pathMappings = spec.pathMappings.map(pathMappingOf);
  return {
    ...{ name, type, kind, apiUrl, healthUrl, version, capabilities, metadata, protocol },
    ...{ downloadDirectory, pathMappings },
  };
}

/** Plain, of one that came in or goes out: messages have more than their fields. */
export function pathMappingOf({ clientPath, managerPath }: PathMapping | ProtoPathMapping) {
  return { clientPath, managerPath };
}

/** Milliseconds of a duration, rounded; a negative or absurd one stays out of every bound. */
export function readDuration(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + Math.round(duration.nanos / 1_000_000);
}

export function timestampOf(wallMs: number): Timestamp {
  const seconds = Math.floor(wallMs / 1_000);
  return create(TimestampSchema, {
    seconds: BigInt(seconds),
    nanos: Math.round(wallMs - seconds * 1_000) * 1_000_000,
  });
}

export function leaseOf(service: ServiceRecord, grant: Grant): Lease {
  return create(LeaseSchema, {
    id: service.leaseId,
    ttl: durationOf(grant.ttlMs),
    heartbeatInterval: durationOf(grant.heartbeatIntervalMs),
  });
}

/** @param lastSeenAt wall-clock ms, newer than the record's if its lease is live */
export function serviceOf(service: ServiceRecord, lastSeenAt: number): Service {
  const { spec } = service;
  return create(ServiceSchema, {
    id: service.id,
    instanceId: service.instanceId,
    spec: {
      name: spec.name,
      type: spec.type,
      kind: spec.kind,
      apiUrl: spec.apiUrl,
      healthUrl: spec.healthUrl,
      version: spec.version,
      capabilities: [...spec.capabilities],
      metadata: { ...spec.metadata },
      protocol: spec.protocol ? PROTOCOLS[spec.protocol] : Protocol.UNSPECIFIED,
      downloadDirectory: spec.downloadDirectory,
      pathMappings: spec.pathMappings.map(pathMappingOf),
    },
    status: STATUSES[shownStatus(service)],
    statusReason: shownReason(service),
    lastSeenTime: timestampOf(lastSeenAt),
    createTime: timestampOf(service.createdAt),
    generation: service.generation,
    revision: service.revision,
  });
}

/** The entry as managers see it, without credentials unless asked for, and while it waits for approval. */
export function downloadClientOf(
  resolved: ResolvedEntry,
  { load, verifiedAt }: Signs,
  mayHaveCredentials: boolean,
): DownloadClient {
  const { entry, service, facts } = resolved;
  const withCredentials = mayHaveCredentials && service?.approved !== false;
  const { origin, deletedAt } = entry;
  return create(DownloadClientSchema, {
    id: entry.id,
    name: entry.name,
    kind: facts.kind,
    protocol: facts.protocol ? PROTOCOLS[facts.protocol] : Protocol.UNSPECIFIED,
    host: facts.host,
    port: facts.port,
    useSsl: facts.useSsl,
    urlBase: facts.urlBase,
    username: withCredentials ? facts.username : "",
    password: withCredentials ? facts.password : "",
    authScheme: authSchemeOf(facts),
    enabled: entry.enabled,
    priority: entry.priority,
    category: entry.category,
    directory: entry.directory,
    tags: [...entry.tags],
    settings: entry.settings as JsonObject,
    source: origin.source === "auto" ? Source.AUTO : Source.MANUAL,
    availability: AVAILABILITIES[facts.availability],
    availabilityReason: facts.availabilityReason,
    credentialState: CREDENTIAL_STATES[facts.credentialState],
    serviceId: service?.id ?? "",
    ...(load ? { load } : {}),
    version: facts.version,
    createTime: timestampOf(entry.createdAt),
    updateTime: timestampOf(entry.updatedAt),
    etag: etagOf(entry),
    ...(origin.source === "auto" ? overridesOf(origin.overrides, withCredentials) : {}),
    ...(deletedAt === undefined ? {} : { deleteTime: timestampOf(deletedAt) }),
    hidden: !isVisible(resolved),
    ...(verifiedAt === undefined ? {} : { lastVerifiedTime: timestampOf(verifiedAt) }),
    downloadDirectory: facts.downloadDirectory,
    pathMappings: facts.pathMappings.map(pathMappingOf),
  });
}

function overridesOf(overrides: Partial<Access>, withCredentials: boolean) {
  if (Object.keys(overrides).length === 0) return {};
  const { username: _username, password: _password, ...shown } = overrides;
  return { overrides: withCredentials ? overrides : shown };
}

function authSchemeOf({ kind, username, password }: EntryFacts): ProtoAuthScheme {
  if (username === "" && password === "") return ProtoAuthScheme.NONE;
  return AUTH_SCHEMES[knownKind(kind)?.authScheme ?? "unknown"];
}

export function credentialStateOf(state: CredentialState): ProtoCredentialState {
  return CREDENTIAL_STATES[state];
}

/** @param lastUsedAt wall-clock ms; undefined: as it was when the token was read */
export function tokenOf(token: TokenRecord, lastUsedAt = token.lastUsedAt): Token {
  const { revokedAt, expiresAt, maxUses, uses, instanceId } = token;
  return create(TokenSchema, {
    id: token.id,
    name: token.name,
    scopes: token.scopes.map((scope) => SCOPES[scope]),
    createTime: timestampOf(token.createdAt),
    ...(revokedAt === undefined ? {} : { revokeTime: timestampOf(revokedAt) }),
    ...(expiresAt === undefined ? {} : { expireTime: timestampOf(expiresAt) }),
    ...(lastUsedAt === undefined
      ? {}
      : { lastUsedTime: timestampOf(Math.floor(lastUsedAt / 1_000) * 1_000) }),
    maxUses,
    uses,
    instanceId,
  });
}
