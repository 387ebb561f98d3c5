import type { AuditAction, AuditSubject, StoredAuditEntry } from "../core/audit.js";
import type { Change, ChangeReason, Commit, CommitSummary } from "../core/change.js";
import type { Access, EntryRecord, Target } from "../core/entry.js";
import { NO_FILE_PLACES } from "../core/file-places.js";
import type {
  CredentialState,
  ServiceRecord,
  ServiceSpec,
  ServiceStatus,
} from "../core/service.js";
import type { Scope, TokenRecord } from "../core/token.js";
import type { Secrets } from "../lib/sealing.js";
import type {
  AuditRow,
  ChangeLogRow,
  DownloadClientRow,
  FeedRow,
  ServiceRow,
  StoredAudit,
  StoredChange,
  StoredDownloadClient,
  StoredFeed,
  StoredService,
  StoredToken,
  TokenRow,
} from "./schema.js";

// Records to rows and back. All rows of a table have the same keys in the same
// order: statements that were compiled once rely on it.

/** What a text is bound to that is sealed in `credentials`, by its table. */
export const SEALED_PLACES = {
  services: (id: string) => `services.credentials ${id}`,
  download_clients: (id: string) => `download_clients.credentials ${id}`,
} as const;

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
    said_offline: Number(record.saidOffline),
    generation: record.generation,
    lease_id: record.leaseId,
    lease_active: Number(record.leaseActive),
    ttl_ms: record.ttlMs,
    lease_credited: Number(record.leaseCredited),
    lease_expires_at: record.leaseExpiresAt,
    last_seen_at: record.lastSeenAt,
    verified_at: record.verifiedAt ?? null,
    created_at: record.createdAt,
    rev: record.revision,
    approved: Number(record.approved),
    token_id: record.tokenId,
    removed: Number(record.removed),
  };
}

/** @throws UnsealError if the credentials were not sealed for this row. */
export function serviceRecord(row: StoredService, secrets: Secrets): ServiceRecord {
  // One of a release before says nothing of files.
  const spec = { ...NO_FILE_PLACES, ...(JSON.parse(row.spec) as ServiceSpec) };
  return {
    id: row.id,
    instanceId: row.instance_id,
    secretHash: row.secret_hash ?? undefined,
    spec: { ...spec, endpoint: spec.endpoint, protocol: spec.protocol }, // JSON drops undefined
    ...openCredentials(row, secrets),
    credentialState: row.credential_state as CredentialState,
    status: row.status as ServiceStatus,
    statusReason: row.status_reason,
    saidOffline: row.said_offline === 1n,
    generation: row.generation,
    leaseId: row.lease_id,
    leaseActive: row.lease_active === 1n,
    ttlMs: row.ttl_ms,
    leaseCredited: row.lease_credited === 1n,
    leaseExpiresAt: row.lease_expires_at,
    lastSeenAt: row.last_seen_at,
    verifiedAt: row.verified_at ?? undefined,
    createdAt: row.created_at,
    revision: row.rev,
    approved: row.approved === 1n,
    tokenId: row.token_id,
    removed: row.removed === 1n,
  };
}

/** Both in one, as JSON: one encryption, and every character survives. */
function sealCredentials(record: ServiceRecord, secrets: Secrets): string | null {
  if (record.username === "" && record.apiKey === "") return null;
  return secrets.seal(
    JSON.stringify([record.username, record.apiKey]),
    SEALED_PLACES.services(record.id),
  );
}

function openCredentials(
  row: StoredService,
  secrets: Secrets,
): Pick<ServiceRecord, "username" | "apiKey"> {
  if (row.credentials === null) return { username: "", apiKey: "" };
  const [username, apiKey] = JSON.parse(
    secrets.open(row.credentials, SEALED_PLACES.services(row.id)),
  ) as [string, string];
  return { username, apiKey };
}

export function downloadClientRow(record: EntryRecord, secrets: Secrets): DownloadClientRow {
  const { origin } = record;
  const isAuto = origin.source === "auto";
  const { username, password, ...access } = isAuto ? origin.overrides : origin.target;
  return {
    id: record.id,
    source: origin.source,
    service_id: isAuto ? origin.serviceId : null,
    access: JSON.stringify(access),
    credentials: sealLogin({ username, password }, record.id, secrets),
    credential_state: record.credentialState,
    verified_at: record.verifiedAt ?? null,
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
    deleted_at: record.deletedAt ?? null,
  };
}

/** @throws UnsealError if the credentials were not sealed for this row. */
export function entryRecord(row: StoredDownloadClient, secrets: Secrets): EntryRecord {
  const access = { ...JSON.parse(row.access), ...openLogin(row, secrets) };
  return {
    id: row.id,
    origin:
      row.service_id === null
        ? { source: "manual", target: { ...NO_FILE_PLACES, ...(access as Target) } }
        : { source: "auto", serviceId: row.service_id, overrides: access as Partial<Access> },
    credentialState: row.credential_state as CredentialState,
    verifiedAt: row.verified_at ?? undefined,
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
    deletedAt: row.deleted_at ?? undefined,
  };
}

type Login = { readonly [Field in "username" | "password"]: string | undefined };

/** JSON drops what is absent, which is not the same as empty: an override may be to no password at all. */
function sealLogin(login: Login, entryId: string, secrets: Secrets): string | null {
  if (login.username === undefined && login.password === undefined) return null;
  return secrets.seal(JSON.stringify(login), SEALED_PLACES.download_clients(entryId));
}

function openLogin({ id, credentials }: StoredDownloadClient, secrets: Secrets): object {
  return credentials === null
    ? {}
    : (JSON.parse(secrets.open(credentials, SEALED_PLACES.download_clients(id))) as object);
}

export function tokenRow(record: TokenRecord): TokenRow {
  return {
    id: record.id,
    name: record.name,
    scopes: JSON.stringify(record.scopes),
    hash: record.hash,
    created_at: record.createdAt,
    revoked_at: record.revokedAt ?? null,
    expires_at: record.expiresAt ?? null,
    max_uses: record.maxUses,
    uses: record.uses,
    instance_id: record.instanceId,
    joined_with: record.joinedWith,
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
    expiresAt: row.expires_at ?? undefined,
    maxUses: row.max_uses,
    uses: row.uses,
    instanceId: row.instance_id,
    joinedWith: row.joined_with,
    lastUsedAt: row.last_used_at ?? undefined,
  };
}

export function auditRow(entry: StoredAuditEntry): AuditRow {
  return {
    id: entry.id,
    at: entry.at,
    action: entry.action,
    token_id: entry.tokenId,
    token_name: entry.tokenName,
    address: entry.address,
    subject: entry.subject,
    subject_id: entry.subjectId,
    subject_name: entry.subjectName,
    detail: entry.detail,
    count: entry.count,
  };
}

export function auditRecord(row: StoredAudit): StoredAuditEntry {
  return {
    id: row.id,
    at: row.at,
    action: row.action as AuditAction,
    tokenId: row.token_id,
    tokenName: row.token_name,
    address: row.address,
    subject: row.subject as AuditSubject,
    subjectId: row.subject_id,
    subjectName: row.subject_name,
    detail: row.detail,
    count: row.count,
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
    detail: change.detail,
  }));
}

/** The rows that a commit writes. */
export interface CommitRows {
  readonly services: readonly ServiceRow[];
  readonly entries: readonly DownloadClientRow[];
  readonly removedEntryIds: readonly string[];
  readonly tokens: readonly TokenRow[];
}

export function commitRows(commit: Commit, secrets: Secrets): CommitRows {
  return {
    services: commit.services.map((record) => serviceRow(record, secrets)),
    entries: commit.entries.map((record) => downloadClientRow(record, secrets)),
    removedEntryIds: commit.removedEntryIds,
    tokens: commit.tokens.map(tokenRow),
  };
}

/** All of a commit, as nodes that follow read it. What was sealed in its rows is sealed here. */
export function feedRow(commit: Commit, follows: string, rows: CommitRows): FeedRow {
  const { revision, stamp, at, reason, changes } = commit;
  const body = { at, reason, changes, ...rows };
  return {
    rev: revision,
    stamp,
    follows,
    body: JSON.stringify(body, (_, value) => (typeof value === "bigint" ? String(value) : value)),
  };
}

// A node of a release before leaves out what it does not know: then it is as a migration has it.
const SERVICE_DEFAULTS = { approved: 1, token_id: "", said_offline: 0 };
const TOKEN_DEFAULTS = { max_uses: 0, uses: 0, instance_id: "", joined_with: "" };

/** What a row is in JSON, which has no bigint. */
type InJson<Row> = { readonly [C in keyof Row]: Row[C] extends bigint ? string | number : Row[C] };

interface FeedBody extends Pick<Commit, "at" | "reason" | "changes" | "removedEntryIds"> {
  readonly services: readonly InJson<StoredService>[];
  readonly entries: readonly InJson<StoredDownloadClient>[];
  readonly tokens: readonly StoredToken[];
}

/** @throws UnsealError if the credentials were sealed with another key. */
export function commitOfFeed({ rev, stamp, body }: StoredFeed, secrets: Secrets): Commit {
  const { at, reason, changes, services, entries, removedEntryIds, tokens } = JSON.parse(
    body,
  ) as FeedBody;
  return {
    revision: rev,
    stamp,
    at,
    reason,
    changes,
    services: services.map((row) =>
      serviceRecord(
        {
          ...SERVICE_DEFAULTS,
          ...row,
          generation: BigInt(row.generation),
          lease_active: BigInt(row.lease_active),
          lease_credited: BigInt(row.lease_credited),
          rev: BigInt(row.rev),
          approved: BigInt(row.approved ?? SERVICE_DEFAULTS.approved),
          said_offline: BigInt(row.said_offline ?? SERVICE_DEFAULTS.said_offline),
          removed: BigInt(row.removed),
        },
        secrets,
      ),
    ),
    entries: entries.map((row) =>
      entryRecord({ ...row, enabled: BigInt(row.enabled), rev: BigInt(row.rev) }, secrets),
    ),
    removedEntryIds,
    tokens: tokens.map((row) => tokenRecord({ ...TOKEN_DEFAULTS, ...row })),
  };
}

/**
 * The body of a feed's row with its credentials sealed anew; undefined if the key that
 * seals now has sealed all of them. @throws UnsealError if one does not open.
 */
export function resealedFeedBody(body: string, secrets: Secrets): string | undefined {
  const parsed = JSON.parse(body) as FeedBody;
  const { services, entries } = parsed;
  if ([...services, ...entries].every((row) => isCurrent(row, secrets))) return undefined;
  const anew = <Row extends SealedRow>(rows: readonly Row[], table: keyof typeof SEALED_PLACES) =>
    rows.map((row) =>
      isCurrent(row, secrets)
        ? row
        : {
            ...row,
            credentials: secrets.reseal(row.credentials ?? "", SEALED_PLACES[table](row.id)),
          },
    );
  return JSON.stringify({
    ...parsed,
    services: anew(services, "services"),
    entries: anew(entries, "download_clients"),
  });
}

type SealedRow = Pick<StoredService, "id" | "credentials">;

function isCurrent({ credentials }: SealedRow, secrets: Secrets): boolean {
  return credentials === null || secrets.isCurrent(credentials);
}

/** @param rows in the order of revision and position */
export function commitSummaries(rows: readonly StoredChange[]): CommitSummary[] {
  const summaries: (CommitSummary & { readonly changes: Change[] })[] = [];
  for (const row of rows) {
    let summary = summaries.at(-1);
    if (summary?.revision !== row.rev) {
      const { rev: revision, stamp, at } = row;
      summary = { revision, stamp, at, reason: row.reason as ChangeReason, changes: [] };
      summaries.push(summary);
    }
    summary.changes.push({
      subject: row.subject as Change["subject"],
      subjectId: row.subject_id,
      type: row.type as Change["type"],
      detail: row.detail,
    });
  }
  return summaries;
}
