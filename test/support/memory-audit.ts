import type { AuditEntry, StoredAuditEntry } from "../../src/core/audit.js";
import type { AuditPage, AuditRequest } from "../../src/store/store.js";

/** The audit log of a store in memory. */
export class MemoryAudit {
  entries: StoredAuditEntry[] = [];
  #lastId = 0n;

  append(entries: readonly AuditEntry[]): void {
    for (const entry of entries) this.entries.push({ ...entry, id: ++this.#lastId });
  }

  read({ afterId, limit, newest = false, actions = [] }: AuditRequest): AuditPage {
    const wanted = this.entries.filter(
      ({ id, action }) => id > afterId && (actions.length === 0 || actions.includes(action)),
    );
    const entries = newest ? wanted.slice(-limit) : wanted.slice(0, limit);
    const isPart = !newest && entries.length === limit;
    return { entries, lastId: isPart ? (entries.at(-1)?.id ?? 0n) : this.#lastId };
  }

  trim(before: number): void {
    this.entries = this.entries.filter(({ at }) => at >= before);
  }
}
