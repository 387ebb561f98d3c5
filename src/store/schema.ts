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
  change_log: ChangeLogTable;
  services: ServicesTable;
  download_clients: DownloadClientsTable;
  tokens: TokensTable;
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
  registry_time_ms: number;
  /** Tells whether a key is the one that the secrets were sealed with. */
  key_check: string;
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
  generation: Int;
  lease_id: string;
  lease_active: Flag;
  ttl_ms: number;
  lease_credited: Flag;
  lease_expires_at: number;
  last_seen_at: number;
  created_at: number;
  rev: Int;
  removed: Flag;
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
}

export type ChangeLogRow = Insertable<ChangeLogTable>;
export type StoredChange = Selectable<ChangeLogTable>;
export type ServiceRow = Insertable<ServicesTable>;
export type StoredService = Selectable<ServicesTable>;
export type DownloadClientRow = Insertable<DownloadClientsTable>;
export type StoredDownloadClient = Selectable<DownloadClientsTable>;
export type TokenRow = Insertable<TokensTable>;
export type StoredToken = Selectable<TokensTable>;
