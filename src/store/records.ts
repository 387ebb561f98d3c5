import type { Commit } from "../core/change.js";
import type { EntryRecord } from "../core/entry.js";
import type {
  CredentialState,
  ServiceRecord,
  ServiceSpec,
  ServiceStatus,
} from "../core/service.js";
import type { Scope, TokenRecord } from "../core/token.js";
import type {
  ChangeLogRow,
  DownloadClientRow,
  ServiceRow,
  StoredDownloadClient,
  StoredService,
  StoredToken,
  TokenRow,
} from "./schema.js";
import type { Secrets } from "./secrets.js";

// Records to rows and back. All rows of a table have the same keys in the same
// order: statements that were compiled once rely on it.

export function serviceRow(record: ServiceRecord, secrets: Secrets): ServiceRow {
  return {
    id: record.id,
    instance_id: record.instanceId,
    secret_hash: record.secretHash ?? null,
    spec: JSON.stringify(record.spec),
    credentials: sealCredentials(record, secrets),
    credential_state: record.credentialState,
    status: record.status,
    status_reason: record.statusReason,
    generation: record.generation,
    lease_id: record.leaseId,
    lease_active: Number(record.leaseActive),
    ttl_ms: record.ttlMs,
    lease_credited: Number(record.leaseCredited),
    lease_expires_at: record.leaseExpiresAt,
    last_seen_at: record.lastSeenAt,
    created_at: record.createdAt,
    rev: record.revision,
    removed: Number(record.removed),
  };
}

/** @throws UnsealError if the credentials were not sealed for this row. */
export function serviceRecord(row: StoredService, secrets: Secrets): ServiceRecord {
  const spec = JSON.parse(row.spec) as ServiceSpec;
  return {
    id: row.id,
    instanceId: row.instance_id,
    secretHash: row.secret_hash ?? undefined,
    spec: { ...spec, endpoint: spec.endpoint, protocol: spec.protocol }, // JSON drops undefined
    ...openCredentials(row, secrets),
    credentialState: row.credential_state as CredentialState,
    status: row.status as ServiceStatus,
    statusReason: row.status_reason,
    generation: row.generation,
    leaseId: row.lease_id,
    leaseActive: row.lease_active === 1n,
    ttlMs: row.ttl_ms,
    leaseCredited: row.lease_credited === 1n,
    leaseExpiresAt: row.lease_expires_at,
    lastSeenAt: row.last_seen_at,
    createdAt: row.created_at,
    revision: row.rev,
    removed: row.removed === 1n,
  };
}

/** Both in one, as JSON: one encryption, and every character survives. */
function sealCredentials(record: ServiceRecord, secrets: Secrets): string | null {
  if (record.username === "" && record.apiKey === "") return null;
  return secrets.seal(JSON.stringify([record.username, record.apiKey]), placeOf(record.id));
}

function openCredentials(
  row: StoredService,
  secrets: Secrets,
): Pick<ServiceRecord, "username" | "apiKey"> {
  if (row.credentials === null) return { username: "", apiKey: "" };
  const [username, apiKey] = JSON.parse(secrets.open(row.credentials, placeOf(row.id))) as [
    string,
    string,
  ];
  return { username, apiKey };
}

function placeOf(serviceId: string): string {
  return `services.credentials ${serviceId}`;
}

export function downloadClientRow(record: EntryRecord): DownloadClientRow {
  return {
    id: record.id,
    service_id: record.serviceId,
    name: record.name,
    enabled: Number(record.enabled),
    priority: record.priority,
    category: record.category,
    directory: record.directory,
    tags: JSON.stringify(record.tags),
    settings: JSON.stringify(record.settings),
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    rev: record.revision,
    removed: Number(record.removed),
  };
}

export function entryRecord(row: StoredDownloadClient): EntryRecord {
  return {
    id: row.id,
    serviceId: row.service_id,
    name: row.name,
    enabled: row.enabled === 1n,
    priority: row.priority,
    category: row.category,
    directory: row.directory,
    tags: JSON.parse(row.tags) as readonly string[],
    settings: JSON.parse(row.settings) as Readonly<Record<string, unknown>>,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.rev,
    removed: row.removed === 1n,
  };
}

export function tokenRow(record: TokenRecord): TokenRow {
  return {
    id: record.id,
    name: record.name,
    scopes: JSON.stringify(record.scopes),
    hash: record.hash,
    created_at: record.createdAt,
    revoked_at: record.revokedAt ?? null,
  };
}

export function tokenRecord(row: StoredToken): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    scopes: JSON.parse(row.scopes) as readonly Scope[],
    hash: row.hash,
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  };
}

export function changeLogRows(commit: Commit): ChangeLogRow[] {
  return commit.changes.map((change, position) => ({
    rev: commit.revision,
    stamp: commit.stamp,
    at: commit.at,
    reason: commit.reason,
    position,
    subject: change.subject,
    subject_id: change.subjectId,
    type: change.type,
  }));
}
