import { expect, it } from "vitest";
import type { AuditAction } from "../../src/core/audit.js";
import type { AuditRequest, Store } from "../../src/store/store.js";
import { describeEngines, run } from "./engines.js";
import { auditEntry, commitOf, requestOf, tokenRecord } from "./sample-records.js";

const all = (store: Store, change: Partial<AuditRequest> = {}) =>
  store.readAudit({ afterId: 0n, limit: 1_000, ...change });

/** The details of entries, which the tests tell them by. */
const details = async (store: Store, change: Partial<AuditRequest> = {}) =>
  (await all(store, change)).entries.map(({ detail }) => detail);

const named = (...names: string[]) => names.map((detail) => auditEntry({ detail }));

describeEngines("the audit log of a store", (engine) => {
  const open = async () => (await engine.place()).open();

  it("has what was appended, every field as it was, also at the next open", async () => {
    const place = await engine.place();
    const first = await place.open();
    expect(await all(first)).toEqual({ entries: [], lastId: 0n });
    const entries = [
      auditEntry(),
      auditEntry({ action: "refused", tokenId: "", subject: "", count: 70_000, at: 1.5 }),
      auditEntry({ detail: '2 entries: "a", "\u{1f600}\u202e"' }),
    ];
    await first.appendAudit(entries);
    await first.appendAudit([]);
    await first.close();
    const store = await place.open();
    const stored = entries.map((entry, i) => ({ ...entry, id: BigInt(i + 1) }));
    expect(await all(store)).toEqual({ entries: stored, lastId: 3n });
  });

  it("gets the entries of a commit with it, in order, or not at all", async () => {
    const store = await open();
    await store.appendAudit(named("before"));
    await store.commit(
      requestOf([
        { ...commitOf(1n, { tokens: [tokenRecord()] }), audit: named("one", "two") },
        { ...commitOf(2n, { tokens: [tokenRecord()] }), audit: [] },
        { ...commitOf(3n, { tokens: [tokenRecord()] }), audit: named("three") },
      ]),
    );
    const broken = commitOf(5n, { tokens: [tokenRecord()] });
    await expect(store.commit(requestOf([{ ...broken, audit: named("never") }]))).rejects.toThrow();
    await store.appendAudit(named("after"));
    expect(await details(store)).toEqual(["before", "one", "two", "three", "after"]);
    const { entries } = await all(store);
    expect(entries.map(({ id }) => id)).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it("is followed by id, and the newest of it is at hand", async () => {
    const store = await open();
    await store.appendAudit(named("1", "2", "3", "4", "5"));
    const page = await all(store, { limit: 2 });
    expect(page.lastId).toBe(2n);
    expect(await details(store, { afterId: 2n, limit: 3 })).toEqual(["3", "4", "5"]);
    expect((await all(store, { afterId: 2n, limit: 3 })).lastId).toBe(5n);
    expect(await all(store, { afterId: 5n })).toEqual({ entries: [], lastId: 5n });
    expect(await details(store, { limit: 2, newest: true })).toEqual(["4", "5"]);
    expect((await all(store, { limit: 2, newest: true })).lastId).toBe(5n);
  });

  it("is read by action, and what is left out need not be asked for again", async () => {
    const store = await open();
    const actions: AuditAction[] = ["refused", "registered", "approved", "registered", "refused"];
    await store.appendAudit(actions.map((action, i) => auditEntry({ action, detail: `${i}` })));
    expect(await details(store, { actions: ["registered"] })).toEqual(["1", "3"]);
    expect(await details(store, { actions: ["approved", "refused", "approved"] })).toEqual([
      "0",
      "2",
      "4",
    ]);
    const part = await all(store, { actions: ["approved", "refused"], limit: 2 });
    expect(part.entries.map(({ detail }) => detail)).toEqual(["0", "2"]);
    expect(part.lastId).toBe(3n);
    const newest = { actions: ["refused", "registered"] as const, limit: 2, newest: true };
    expect(await details(store, newest)).toEqual(["3", "4"]);
    expect((await all(store, { actions: ["joined"] })).lastId).toBe(5n);
  });

  it("loses what is older than an instant, however much that is, and ids go on", async () => {
    const place = await engine.place();
    const store = await place.open();
    const old = Array.from({ length: 2_500 }, (_, i) => auditEntry({ at: i, detail: "old" }));
    await store.appendAudit([auditEntry({ at: 9_000, detail: "early" }), ...old]);
    await store.appendAudit([auditEntry({ at: 9_000, detail: "late" })]);
    await store.trimAudit(9_000);
    expect(await details(store)).toEqual(["early", "late"]);
    await store.trimAudit(9_001);
    expect(await all(store)).toEqual({ entries: [], lastId: 2_502n });
    await store.close();
    const next = await place.open();
    await next.appendAudit(named("next"));
    expect((await all(next)).entries.map(({ id }) => id)).toEqual([2_503n]);
  });

  it("refuses that an entry is changed, whoever asks", async () => {
    const place = await engine.place();
    const store = await place.open();
    await store.appendAudit(named("as it was"));
    if (!engine.isShared) await store.close();
    const db = place.connect();
    await expect(run(db, "update audit set detail = 'another'")).rejects.toThrow("append only");
    if (engine.isShared) await expect(run(db, "truncate audit")).rejects.toThrow("append only");
    expect(await run(db, "select detail from audit")).toEqual([{ detail: "as it was" }]);
  });

  if (!engine.isShared) return;
  it("is in the order of transactions: who follows it by id misses nothing of several writers", async () => {
    const place = await engine.place();
    const stores = await Promise.all([place.open(), place.open(), place.open()]);
    const [first] = stores as [Store, Store, Store];
    const WRITES = 40;
    const names = stores.flatMap((_, i) => Array.from({ length: WRITES }, (_, n) => `${i}.${n}`));
    let isDone = false;
    const writing = Promise.all(
      stores.map(async (store, i) => {
        for (let n = 0; n < WRITES; n++) {
          const audit = named(`${i}.${n}`);
          const commit = { ...commitOf(BigInt(n + 1), { tokens: [tokenRecord()] }), audit };
          await (i === 0 ? store.commit(requestOf([commit])) : store.appendAudit(audit));
        }
      }),
    ).finally(() => {
      isDone = true;
    });
    const followed: string[] = [];
    let lastId = 0n;
    for (let wasDone = false; !wasDone; ) {
      wasDone = isDone;
      const page = await first.readAudit({ afterId: lastId, limit: 7 });
      followed.push(...page.entries.map(({ detail }) => detail));
      if (page.entries.length > 0) wasDone = false;
      lastId = page.lastId;
    }
    await writing;
    expect(followed).toHaveLength(names.length);
    expect(new Set(followed)).toEqual(new Set(names));
    for (const [i] of stores.entries()) {
      const own = followed.filter((name) => name.startsWith(`${i}.`));
      expect(own).toEqual(names.filter((name) => name.startsWith(`${i}.`)));
    }
  });
});
