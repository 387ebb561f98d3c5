import type { CompiledQuery, Kysely } from "kysely";

/** A statement for that many rows at most; larger ones gain nothing. */
const MAX_ROWS = 64;

/**
 * A multi-row statement. Kysely takes longer to build one than SQLite to run it,
 * so it is compiled once for 1, 2, 4 … 64 rows, and any number of rows is cut
 * into those.
 */
export class BulkStatement<Row extends object> {
  readonly #compile: (rows: readonly Row[]) => CompiledQuery;
  readonly #compiled = new Map<number, CompiledQuery>();

  /**
   * @param compile Must bind the values of each row once, row by row in the order
   * of their keys, and nothing else; all rows have the same keys, none undefined.
   */
  constructor(compile: (rows: readonly Row[]) => CompiledQuery) {
    this.#compile = compile;
  }

  /** Runs it for all rows, in their order. */
  async run<Schema>(db: Kysely<Schema>, rows: readonly Row[]): Promise<void> {
    for (const statement of this.forRows(rows)) await db.executeQuery(statement);
  }

  /** What is to be run, in this order, for all rows. */
  forRows(rows: readonly Row[]): CompiledQuery[] {
    const statements: CompiledQuery[] = [];
    let from = 0;
    for (let size = MAX_ROWS; size >= 1; size /= 2)
      for (; rows.length - from >= size; from += size)
        statements.push(this.#query(rows.slice(from, from + size)));
    return statements;
  }

  #query(rows: readonly Row[]): CompiledQuery {
    let compiled = this.#compiled.get(rows.length);
    if (!compiled) {
      compiled = this.#compile(rows);
      this.#compiled.set(rows.length, compiled);
    }
    return { ...compiled, parameters: rows.flatMap((row) => Object.values(row)) };
  }
}
