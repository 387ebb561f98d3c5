import { type CompiledQuery, type Kysely, sql, type Transaction } from "kysely";
import type { AuditAction, AuditEntry, StoredAuditEntry } from "../core/audit.js";
import type { BulkStatement } from "./bulk-statement.js";
import { auditRows, auditStatement, type NewestAudit } from "./commit-statements.js";
import { commitTogether } from "./pipeline.js";
import { auditRecord } from "./records.js";
import type { AuditRow, Schema } from "./schema.js";
import type { AuditPage, AuditRequest } from "./store.js";

/** Entries that one transaction deletes: some 5 ms. */
const TRIM_SLICE = 200;

/** What is asked of the audit log apart from commits. */
export class AuditQueries {
  readonly #db: Kysely<Schema>;
  readonly #isShared: boolean;
  readonly #newest: CompiledQuery<NewestAudit>;
  readonly #insert: BulkStatement<AuditRow>;
  readonly #advance: CompiledQuery;

  constructor({ db, isShared }: { readonly db: Kysely<Schema>; readonly isShared: boolean }) {
    this.#db = db;
    this.#isShared = isShared;
    const newest = db.selectFrom("clock").select("audit_id as auditId");
    this.#newest = (isShared ? newest.forUpdate() : newest).compile();
    this.#insert = auditStatement(db);
    this.#advance = sql`update clock set audit_id = ${0n}`.compile(db);
  }

  /** In turn with those who commit: ids are in the order of the transactions. */
  async append(entries: readonly AuditEntry[]): Promise<void> {
    if (entries.length === 0) return;
    if (this.#isShared) {
      await commitTogether(this.#db, (trx) => this.#appending(trx, entries));
      return;
    }
    await this.#db.transaction().execute(async (trx) => {
      for (const statement of await this.#appending(trx, entries))
        await trx.executeQuery(statement);
    });
  }

  async #appending(
    trx: Transaction<Schema>,
    entries: readonly AuditEntry[],
  ): Promise<CompiledQuery[]> {
    const { auditId } = await this.#newestIn(trx);
    const next = auditId + BigInt(entries.length);
    return [
      ...this.#insert.forRows(auditRows(entries, auditId)),
      { ...this.#advance, parameters: [next] },
    ];
  }

  async #newestIn(db: Kysely<Schema>): Promise<NewestAudit> {
    const { rows } = await db.executeQuery(this.#newest);
    if (!rows[0]) throw new Error("the store has lost its clock");
    return rows[0];
  }

  async read({ afterId, limit, newest = false, actions = [] }: AuditRequest): Promise<AuditPage> {
    // Read first: what is up to this one is committed, since ids are in the order of commits.
    const { audit_id: end } = await this.#db
      .selectFrom("clock")
      .select("audit_id")
      .executeTakeFirstOrThrow();
    const wanted = actions.length === 0 ? [undefined] : [...new Set(actions)];
    const entries: StoredAuditEntry[] = [];
    // One by one, or a rare action might have the whole log looked through.
    for (const action of wanted)
      entries.push(...(await this.#select({ afterId, limit, newest, end, action })));
    entries.sort((a, b) => (a.id < b.id ? -1 : 1));
    const page = newest ? entries.slice(-limit) : entries.slice(0, limit);
    const isPart = !newest && page.length === limit;
    return { entries: page, lastId: isPart ? (page.at(-1)?.id ?? end) : end };
  }

  async #select(part: {
    readonly afterId: bigint;
    readonly limit: number;
    readonly newest: boolean;
    readonly end: bigint;
    readonly action: AuditAction | undefined;
  }): Promise<StoredAuditEntry[]> {
    const rows = await this.#db
      .selectFrom("audit")
      .selectAll()
      .where("id", ">", part.afterId)
      .where("id", "<=", part.end)
      .$if(part.action !== undefined, (query) => query.where("action", "=", part.action ?? ""))
      .orderBy("id", part.newest ? "desc" : "asc")
      .limit(part.limit)
      .execute();
    return rows.map(auditRecord);
  }

  /** Deletes some of the entries of before an instant. @returns whether some may be left */
  async trimSlice(before: number): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom("audit")
      .where("id", "in", (eb) =>
        eb
          .selectFrom("audit")
          .select("id")
          .where("at", "<", before)
          .orderBy("at")
          .limit(TRIM_SLICE),
      )
      .executeTakeFirst();
    return numDeletedRows >= TRIM_SLICE;
  }
}
