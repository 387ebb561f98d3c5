import { isDeepStrictEqual } from "node:util";
import type { Transaction } from "kysely";
import type { StoredAuditEntry } from "../core/audit.js";
import { auditStatement } from "./commit-statements.js";
import type { CheckedTable } from "./copy-check.js";
import { auditRecord, auditRow } from "./records.js";
import type { Schema } from "./schema.js";
import type { Store } from "./store.js";

/** How an audit log is read, a page at a time. */
export type AuditSource = Store["readAudit"];

const PAGE = 1_000;

/** How many entries there are. */
export async function auditLength(source: AuditSource): Promise<number> {
  let length = 0;
  for await (const { entries } of pages(source)) length += entries.length;
  return length;
}

/** Copies an audit log with its ids. @returns the id of its newest entry, be that gone */
export async function copyAudit(
  trx: Transaction<Schema>,
  source: AuditSource,
  onCopied: (count: number) => void,
): Promise<bigint> {
  const statement = auditStatement(trx);
  let newest = 0n;
  for await (const { entries, lastId } of pages(source)) {
    await statement.run(trx, entries.map(auditRow));
    newest = lastId;
    if (entries.length > 0) onCopied(entries.length);
  }
  return newest;
}

/** Compares a copy with its source. */
export async function checkAudit(
  trx: Transaction<Schema>,
  source: AuditSource,
): Promise<CheckedTable> {
  const [{ count }] = (await trx
    .selectFrom("audit")
    .select((eb) => eb.fn.countAll<bigint>().as("count"))
    .execute()) as [{ count: bigint }];
  const table = { source: 0, equal: 0 };
  for await (const { entries } of pages(source)) {
    const [first, last] = [entries[0], entries.at(-1)];
    if (!first || !last) continue;
    const rows = await trx
      .selectFrom("audit")
      .selectAll()
      .where("id", ">=", first.id)
      .where("id", "<=", last.id)
      .execute();
    const copies = new Map(rows.map((row) => [row.id, auditRecord(row)]));
    const isCopied = (entry: StoredAuditEntry) => isDeepStrictEqual(entry, copies.get(entry.id));
    table.source += entries.length;
    table.equal += entries.filter(isCopied).length;
  }
  return { name: "audit", ...table, target: Number(count) };
}

async function* pages(source: AuditSource) {
  for (let afterId = 0n; ; ) {
    const page = await source({ afterId, limit: PAGE });
    yield page;
    if (page.entries.length < PAGE) return;
    afterId = page.lastId;
  }
}
