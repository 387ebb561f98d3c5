import type { ColumnType, Insertable, Selectable } from "kysely";

/**
 * The tables, as Kysely sees them. Integers are read as bigint, so that none
 * loses a digit; instants and durations in ms are doubles, as in JavaScript,
 * since registry time has fractions. Plain texts hold no NUL, at which SQLite's
 * drivers cut: core refuses control characters.
 */
export interface Schema {
  schema_version: SchemaVersionTable;
  clock: ClockTable;
  registry_time: RegistryTimeTable;
  change_log: ChangeLogTable;
  feed: FeedTable;
  nodes: NodesTable;
  services: ServicesTable;
  download_clients: DownloadClientsTable;
  tokens: TokensTable;
  audit: AuditTable;
}

type Int = ColumnType<bigint, bigint | number, bigint | number>;
/** 0 or 1: the driver has no boolean. */
type Flag = ColumnType<bigint, number, number>;
/** A JSON text. It escapes what a plain text could not hold. */
type Json = string;

interface SchemaVersionTable {
  version: Int;
}

/** One row. */
interface ClockTable {
  one: Int;
  /** Random id of this registry. */
  epoch: string;
  /** Revision and stamp of the newest commit. */
  rev: Int;
  stamp: string;
  /** Changes up to and with this revision are no longer in the log. */
  min_rev: Int;
  /** Id of the newest entry of the audit log, also when that is gone. */
  audit_id: ColumnType<bigint, bigint | number | undefined, bigint | number>;
  /** Tells whether a key is the one that the secrets were sealed with. */
  key_check: string;
}

/** One row. Apart from the clock, which writers lock. */
interface RegistryTimeTable {
  one: Int;
  /** Registry time in ms. */
  ms: number;
  /** Wall-clock ms of the database when a node last took it on; unused by one Pulse alone. */
  advanced_at: number;
}

/** Whole commits, for the other nodes of a shared store; kept as long as the change log. */
interface FeedTable {
  rev: Int;
  stamp: string;
  /** The stamp of the commit before it, by which a reader knows that this is still its history. */
  follows: string;
  body: Json;
}

/** Nodes of a shared store that are alive, or were until a moment ago. */
interface NodesTable {
  id: string;
  name: string;
  /** Registry time in ms, and wall-clock ms of the database, when the node last renewed the row. */
  renewed_at: number;
  seen_at: number;
  /** What it knows of its instances that is no change: last signs of life, load. Null: nothing yet. */
  report: Json | null;
}

/** One row for each change of a commit; those of one commit share all up to `reason`. */
interface ChangeLogTable {
  rev: Int;
  stamp: string;
  at: number;
  reason: string;
  /** From 0, in the order of the commit. */
  position: Int;
  subject: string;
  subject_id: string;
  type: string;
  detail: string;
}

interface ServicesTable {
  id: string;
  instance_id: string;
  secret_hash: string | null;
  /** The whole ServiceSpec. */
  spec: Json;
  /** User name and API key, sealed together; null if both are empty. */
  credentials: string | null;
  credential_state: string;
  status: string;
  status_reason: string;
  said_offline: Flag;
  generation: Int;
  lease_id: string;
  lease_active: Flag;
  ttl_ms: number;
  lease_credited: Flag;
  lease_expires_at: number;
  last_seen_at: number;
  verified_at: number | null;
  created_at: number;
  rev: Int;
  approved: Flag;
  token_id: string;
  removed: Flag;
  /** In a shared store: the node that has the instance's stream, or null. */
  node_id: ColumnType<string | null, never, string | null>;
  /** In a shared store: when it turns OFFLINE if no node holds it, in registry time; null: with its lease. */
  lapses_at: ColumnType<number | null, never, number | null>;
}

interface DownloadClientsTable {
  id: string;
  /** `auto` or `manual`. */
  source: string;
  /** Null for a manual one. */
  service_id: string | null;
  /** What overrides the service, or the whole of a manual one, but for the credentials. */
  access: Json;
  /** User name and password among these, sealed together; null if there are none. */
  credentials: string | null;
  credential_state: string;
  verified_at: number | null;
  name: string;
  enabled: Flag;
  priority: number;
  category: string;
  directory: string;
  tags: Json;
  settings: Json;
  created_at: number;
  updated_at: number;
  rev: Int;
  deleted_at: number | null;
}

interface TokensTable {
  id: string;
  name: string;
  scopes: Json;
  hash: string;
  created_at: number;
  revoked_at: number | null;
  expires_at: number | null;
  max_uses: number;
  uses: number;
  instance_id: string;
  joined_with: string;
  /** Written apart from commits, which leave it out. */
  last_used_at: ColumnType<number | null, number | null | undefined, number | null>;
}

/** Append only: a trigger refuses updates. One row for each thing that somebody did. */
interface AuditTable {
  /** Grows by one, in the order of the transactions, which hold the clock. */
  id: Int;
  at: number;
  action: string;
  token_id: string;
  token_name: string;
  address: string;
  subject: string;
  subject_id: string;
  subject_name: string;
  detail: string;
  count: number;
}

export type ChangeLogRow = Insertable<ChangeLogTable>;
export type StoredChange = Selectable<ChangeLogTable>;
export type FeedRow = Insertable<FeedTable>;
export type StoredFeed = Selectable<FeedTable>;
export type ServiceRow = Insertable<ServicesTable>;
/** What a commit writes of it. Who holds the instance is written apart. */
export type StoredService = Omit<Selectable<ServicesTable>, "node_id" | "lapses_at">;
export type DownloadClientRow = Insertable<DownloadClientsTable>;
export type StoredDownloadClient = Selectable<DownloadClientsTable>;
export type TokenRow = Insertable<TokensTable>;
export type AuditRow = Insertable<AuditTable>;
export type StoredAudit = Selectable<AuditTable>;
export type StoredToken = Selectable<TokensTable>;
