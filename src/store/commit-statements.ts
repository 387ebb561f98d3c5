import { type CompiledQuery, type Kysely, type RawBuilder, sql } from "kysely";
import type { AuditEntry } from "../core/audit.js";
import type { Commit } from "../core/change.js";
import type { Secrets } from "../lib/sealing.js";
import { BulkStatement } from "./bulk-statement.js";
import { auditRow, type CommitRows, changeLogRows, commitRows, feedRow } from "./records.js";
import type {
  AuditRow,
  ChangeLogRow,
  DownloadClientRow,
  FeedRow,
  Schema,
  ServiceRow,
  TokenRow,
} from "./schema.js";
import type { StorePoint } from "./store.js";

/** NOTIFY tells nodes on it that somebody commits, and who. */
export const COMMITS_CHANNEL = "pulse_commits";

export interface CommitStatementsOptions {
  readonly db: Kysely<Schema>;
  readonly secrets: Secrets;
  /** See QueriesOptions. */
  readonly isShared: boolean;
  /** See QueriesOptions. */
  readonly author?: string;
}

/** The statements by which commits are written. */
export class CommitStatements {
  readonly #options: CommitStatementsOptions;
  readonly #advance: CompiledQuery;
  readonly #log: BulkStatement<ChangeLogRow>;
  readonly #feed: BulkStatement<FeedRow>;
  readonly #services: BulkStatement<ServiceRow>;
  readonly #downloadClients: BulkStatement<DownloadClientRow>;
  readonly #removals: BulkStatement<Pick<DownloadClientRow, "id">>;
  readonly #tokens: BulkStatement<TokenRow>;
  readonly #audit: BulkStatement<AuditRow>;

  constructor(options: CommitStatementsOptions) {
    const { db, isShared, author = "" } = options;
    this.#options = options;
    this.#advance = (
      isShared
        ? sql`update clock set rev = ${0n}, stamp = ${""}, audit_id = ${0n} returning pg_notify(${sql.lit(COMMITS_CHANNEL)}, ${sql.lit(author)})`
        : sql`update clock set rev = ${0n}, stamp = ${""}, audit_id = ${0n}`
    ).compile(db);
    this.#log = new BulkStatement((rows) => db.insertInto("change_log").values(rows).compile());
    this.#feed = new BulkStatement((rows) => db.insertInto("feed").values(rows).compile());
    this.#audit = auditStatement(db);
    this.#services = new BulkStatement((rows) =>
      db
        .insertInto("services")
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .column("id")
            .doUpdateSet({ ...excluded(rows), ...(isShared ? HELD_WITH_ITS_LEASE : {}) }),
        )
        .compile(),
    );
    this.#downloadClients = new BulkStatement((rows) =>
      db
        .insertInto("download_clients")
        .values(rows)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(excluded(rows)))
        .compile(),
    );
    this.#removals = new BulkStatement((rows) =>
      db
        .deleteFrom("download_clients")
        .where(
          "id",
          "in",
          rows.map(({ id }) => id),
        )
        .compile(),
    );
    this.#tokens = new BulkStatement((rows) =>
      db
        .insertInto("tokens")
        .values(rows)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(excluded(rows)))
        .compile(),
    );
  }

  /**
   * All that is to be run, in this order, for commits that follow the newest.
   * @throws RangeError if they leave a gap after it.
   */
  writing(commits: readonly Commit[], newest: StorePoint & NewestAudit): CompiledQuery[] {
    const { secrets, isShared } = this.#options;
    const last = commits.at(-1);
    if (!last) return [];
    if (last.revision !== newest.revision + BigInt(commits.length))
      throw new RangeError(`revision ${last.revision} would leave a gap after ${newest.revision}`);
    const rows = commits.map((commit) => commitRows(commit, secrets));
    const removed = new Set(rows.flatMap(({ removedEntryIds }) => removedEntryIds));
    const audit = commits.flatMap((commit) => commit.audit ?? []);
    const entries = newestOf(rows.flatMap((each) => each.entries));
    return [
      // Services before the entries that refer to them.
      ...this.#services.forRows(newestOf(rows.flatMap(({ services }) => services))),
      ...this.#downloadClients.forRows(entries.filter(({ id }) => !removed.has(id))), // an id never comes back
      ...this.#removals.forRows([...removed].map((id) => ({ id }))),
      ...this.#tokens.forRows(newestOf(rows.flatMap(({ tokens }) => tokens))),
      ...this.#log.forRows(commits.flatMap(changeLogRows)),
      ...(isShared ? this.#feed.forRows(feedRows(commits, newest.stamp, rows)) : []),
      ...this.#audit.forRows(auditRows(audit, newest.auditId)),
      {
        ...this.#advance,
        parameters: [last.revision, last.stamp, newest.auditId + BigInt(audit.length)],
      },
    ];
  }
}

/** The newest entry of the audit log, which whoever writes the next ones has locked. */
export interface NewestAudit {
  readonly auditId: bigint;
}

export function auditStatement(db: Kysely<Schema>): BulkStatement<AuditRow> {
  return new BulkStatement((rows) => db.insertInto("audit").values(rows).compile());
}

/** With the ids that follow. */
export function auditRows(entries: readonly AuditEntry[], newestId: bigint): AuditRow[] {
  return entries.map((entry, i) => auditRow({ ...entry, id: newestId + BigInt(i) + 1n }));
}

/** A new lease is nobody's until a node says that it has its stream. */
const HELD_WITH_ITS_LEASE = {
  node_id: sql<
    string | null
  >`case when services.lease_id = excluded.lease_id then services.node_id end`,
  lapses_at: sql<
    number | null
  >`case when services.lease_id = excluded.lease_id then services.lapses_at end`,
};

function feedRows(
  commits: readonly Commit[],
  newestStamp: string,
  rows: readonly CommitRows[],
): FeedRow[] {
  return commits.map((commit, i) =>
    feedRow(commit, commits[i - 1]?.stamp ?? newestStamp, rows[i] as CommitRows),
  );
}

/** The last version of each row, since one statement may touch it only once. */
function newestOf<Row extends { readonly id: string }>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}

/**
 * Takes every column from the row that could not be inserted, but the key: to
 * write that makes SQLite look through all rows that refer to it.
 */
function excluded<Row extends { readonly id: string }>(
  rows: readonly Row[],
): Record<Exclude<keyof Row, "id">, RawBuilder<never>> {
  const columns = Object.keys(rows[0] ?? {}).filter((name) => name !== "id");
  return Object.fromEntries(columns.map((name) => [name, sql.ref(`excluded.${name}`)])) as Record<
    Exclude<keyof Row, "id">,
    RawBuilder<never>
  >;
}
