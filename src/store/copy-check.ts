import { isDeepStrictEqual } from "node:util";
import type { Transaction } from "kysely";
import type { Secrets } from "../lib/sealing.js";
import { commitSummaries, entryRecord, serviceRecord, tokenRecord } from "./records.js";
import type { Schema } from "./schema.js";
import type { StoredRegistry } from "./store.js";

export interface CheckedTable {
  readonly name: string;
  /** Rows, or for the change log commits. */
  readonly source: number;
  readonly target: number;
  /** How many of the target's say the same as the source's, their secrets opened. */
  readonly equal: number;
}

/**
 * Reads all that a node would start from, and compares it with what it should be.
 * @throws UnsealError if a secret does not open.
 */
export async function checkCopy(
  trx: Transaction<Schema>,
  expected: StoredRegistry,
  secrets: Secrets,
): Promise<readonly CheckedTable[]> {
  const services = await trx.selectFrom("services").selectAll().execute();
  const entries = await trx.selectFrom("download_clients").selectAll().execute();
  const tokens = await trx.selectFrom("tokens").selectAll().execute();
  const changes = await trx
    .selectFrom("change_log")
    .selectAll()
    .orderBy("rev")
    .orderBy("position")
    .execute();
  const byId = ({ id }: { readonly id: string }) => id;
  return [
    compare("services", expected.services, services, (row) => serviceRecord(row, secrets), byId),
    compare(
      "download_clients",
      expected.entries,
      entries,
      (row) => entryRecord(row, secrets),
      byId,
    ),
    compare("tokens", expected.tokens, tokens, tokenRecord, byId),
    compare(
      "change_log",
      expected.history,
      commitSummaries(changes),
      (commit) => commit,
      ({ revision }) => String(revision),
    ),
  ];
}

function compare<Row, Item>(
  name: string,
  source: readonly Item[],
  target: readonly Row[],
  itemOf: (row: Row) => Item,
  keyOf: (item: Item) => string,
): CheckedTable {
  const expected = new Map(source.map((item) => [keyOf(item), item]));
  const equal = target.filter((row) => {
    const item = itemOf(row);
    return isDeepStrictEqual(item, expected.get(keyOf(item)));
  }).length;
  return { name, source: source.length, target: target.length, equal };
}
