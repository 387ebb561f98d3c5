import { type CompiledQuery, type Kysely, sql, type Transaction } from "kysely";
import type { Secrets } from "../lib/sealing.js";
import { BulkStatement } from "./bulk-statement.js";
import { resealedFeedBody, SEALED_PLACES } from "./records.js";
import type { Schema } from "./schema.js";

/** Rows that one slice looks at: some ms, in which others may have to wait. */
const SLICE = 64;

interface SealedRow {
  readonly id: string | bigint;
  readonly sealed: string;
}

interface ResealedRow extends SealedRow {
  readonly resealed: string;
}

/** A column with sealed texts. */
interface SealedColumn {
  /** The rows after that one, or from the first on, in the order of their ids. */
  readonly rowsAfter: (id: SealedRow["id"] | undefined) => Promise<readonly SealedRow[]>;
  /** undefined: the key that seals now has sealed it. */
  readonly reseal: (row: SealedRow) => string | undefined;
  /** Replaces only what is still as it was read. */
  readonly update: BulkStatement<ResealedRow>;
}

export interface ResealingOptions {
  readonly db: Kysely<Schema>;
  readonly secrets: Secrets;
  /** See QueriesOptions. */
  readonly isShared: boolean;
}

/**
 * Goes once through all texts that are sealed in a store, and seals anew what another key
 * than the present one has sealed. Whoever commits meanwhile must seal with that one, too.
 */
export class Resealing {
  readonly #options: ResealingOptions;
  readonly #lock: CompiledQuery;
  /** What is still to be gone through. */
  readonly #columns: SealedColumn[];
  #after: SealedRow["id"] | undefined;

  constructor(options: ResealingOptions) {
    const { db, secrets, isShared } = options;
    this.#options = options;
    this.#lock = db.selectFrom("clock").select("one").forUpdate().compile();
    this.#columns = [
      credentialsColumn(db, "services", secrets),
      credentialsColumn(db, "download_clients", secrets),
      ...(isShared ? [feedColumn(db, secrets)] : []),
    ];
  }

  /**
   * @returns how many texts of the next few rows were sealed anew; undefined: all are done.
   * @throws UnsealError if one does not open. It can be called again, and goes on there.
   */
  async next(): Promise<number | undefined> {
    const [column] = this.#columns;
    if (!column) return undefined;
    const rows = await column.rowsAfter(this.#after);
    const resealed = rows.flatMap((row): ResealedRow[] => {
      const text = column.reseal(row);
      return text === undefined ? [] : [{ id: row.id, sealed: row.sealed, resealed: text }];
    });
    const count = resealed.length > 0 ? await this.#write(column.update.forRows(resealed)) : 0;
    this.#after = rows.at(-1)?.id;
    if (rows.length < SLICE) {
      this.#columns.shift();
      this.#after = undefined;
    }
    return count;
  }

  #write(statements: readonly CompiledQuery[]): Promise<number> {
    const { db, isShared } = this.#options;
    return db.transaction().execute(async (trx: Transaction<Schema>) => {
      // In turn with those who commit: no two transactions wait for each other's rows.
      if (isShared) await trx.executeQuery(this.#lock);
      let count = 0n;
      for (const statement of statements)
        count += (await trx.executeQuery(statement)).numAffectedRows ?? 0n;
      return Number(count);
    });
  }
}

function credentialsColumn(
  db: Kysely<Schema>,
  table: keyof typeof SEALED_PLACES,
  secrets: Secrets,
): SealedColumn {
  const placeOf = SEALED_PLACES[table];
  return {
    async rowsAfter(id) {
      const rows = await db
        .selectFrom(table)
        .select(["id", "credentials"])
        .where("credentials", "is not", null)
        .where("id", ">", id === undefined ? "" : String(id))
        .orderBy("id")
        .limit(SLICE)
        .execute();
      return rows.map((row) => ({ id: row.id, sealed: row.credentials ?? "" }));
    },
    reseal: ({ id, sealed }) =>
      secrets.isCurrent(sealed) ? undefined : secrets.reseal(sealed, placeOf(String(id))),
    update: new BulkStatement((rows) =>
      sql`
        with resealed (id, sealed, resealed) as (values ${valuesOf(rows, "text")})
        update ${sql.table(table)} set credentials = resealed.resealed
        from resealed
        where ${sql.ref(`${table}.id`)} = resealed.id
          and ${sql.ref(`${table}.credentials`)} = resealed.sealed`.compile(db),
    ),
  };
}

/**
 * Whole commits, in which the credentials are sealed as in their rows. Those that come
 * meanwhile are left alone: there would be no end to it.
 */
function feedColumn(db: Kysely<Schema>, secrets: Secrets): SealedColumn {
  let newest: bigint | undefined;
  return {
    async rowsAfter(id) {
      newest ??= (await db.selectFrom("clock").select("rev").executeTakeFirst())?.rev ?? 0n;
      const rows = await db
        .selectFrom("feed")
        .select(["rev", "body"])
        .where("rev", ">", id === undefined ? 0n : BigInt(id))
        .where("rev", "<=", newest)
        .orderBy("rev")
        .limit(SLICE)
        .execute();
      return rows.map(({ rev, body }) => ({ id: rev, sealed: body }));
    },
    reseal: ({ sealed }) => resealedFeedBody(sealed, secrets),
    update: new BulkStatement((rows) =>
      sql`
        with resealed (rev, body, resealed) as (values ${valuesOf(rows, "bigint")})
        update feed set body = resealed.resealed
        from resealed
        where feed.rev = resealed.rev and feed.body = resealed.body`.compile(db),
    ),
  };
}

function valuesOf(rows: readonly ResealedRow[], idType: "text" | "bigint") {
  return sql.join(
    rows.map(
      ({ id, sealed, resealed }) =>
        sql`(cast(${id} as ${sql.raw(idType)}), cast(${sealed} as text), cast(${resealed} as text))`,
    ),
  );
}
