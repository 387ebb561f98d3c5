import { AuditActionSchema, type AuditEntry } from "../../gen/pulse/v1/audit_service_pb.js";
import { enumWord } from "./options.js";
import { cell } from "./output.js";
import { alignRows, renderTable } from "./table.js";
import { timeCell } from "./tables.js";

const HEAD = ["TIME", "ACTION", "TOKEN", "ADDRESS", "SUBJECT", "COUNT", "DETAIL"] as const;

/** The table of `pulse audit`. */
export function auditTable(entries: readonly AuditEntry[]): string {
  return renderTable(HEAD, entries.map(cells), "No entries.");
}

/** A line for each entry that comes after this table, in line with it. */
export function auditLines(table: readonly AuditEntry[]): (entry: AuditEntry) => string {
  const align = alignRows(HEAD);
  for (const entry of table) align(cells(entry));
  return (entry) => align(cells(entry));
}

function cells(entry: AuditEntry): string[] {
  return [
    timeCell(entry.time),
    enumWord(AuditActionSchema, entry.action),
    cell(entry.tokenName),
    cell(entry.address),
    cell(entry.subjectName || entry.subjectId || entry.subject),
    String(entry.count),
    cell(entry.detail),
  ];
}
