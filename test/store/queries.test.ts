import { join } from "node:path";
import Database from "libsql";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Commit } from "../../src/core/change.js";
import type { Store } from "../../src/store/store.js";
import { commitOf, entryRecord, manualRecord, serviceRecord } from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

/** Commits with one change each, from a revision on. */
async function commitMany(store: Store, count: number, previous = 0n): Promise<void> {
  const SIZE = 1_000;
  for (let done = 0; done < count; done += SIZE) {
    const commits = Array.from({ length: Math.min(SIZE, count - done) }, (_, i) =>
      commitOf(previous + BigInt(done + i + 1), { services: [serviceRecord()] }),
    );
    await store.commit(commits, previous + BigInt(done));
  }
}
const revisionsOf = (history: readonly Pick<Commit, "revision">[]) =>
  history.map(({ revision }) => Number(revision));
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Another program's view of the database. */
function look(directory: string) {
  const database = new Database(join(directory, "pulse.db"));
  onTestFinished(() => void database.close());
  const get = (sql: string) => Object.values(database.prepare(sql).all()[0] as object);
  return {
    logged: () => get("select count(*), min(rev), max(rev) from change_log"),
    minRevision: () => get("select min_rev from clock")[0],
  };
}

describe("the change log", () => {
  it("is the history at the next start: what each commit was, and what its changes came to", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const { changes: _, ...first } = commitOf(1n, { services: [serviceRecord()] });
    const changes = [
      { subject: "service", subjectId: "service-1", type: "put", detail: "degraded: 😀 \"'" },
      { subject: "download-client", subjectId: "entry-1", type: "delete", detail: "" },
      { subject: "token", subjectId: "t", type: "put", detail: "pilot" },
    ] as const;
    const second = commitOf(2n, { services: [serviceRecord()] });
    const edited = { ...second, reason: "edited by 😀" as const, at: 1_767_225_600_000.5 };
    await store.commit([{ ...first, changes }, edited], 0n);
    await store.close();
    const { history } = await (await openStore(directory)).load();
    expect(history).toStrictEqual(
      [{ ...first, changes }, edited].map(({ revision, stamp, at, reason, changes }) => ({
        revision,
        stamp,
        at,
        reason,
        changes,
      })),
    );
  });

  it("is read as far back as asked, newest commits, without a gap", async () => {
    const store = await openStore(await temporaryDirectory());
    const two = { services: [serviceRecord(), serviceRecord({ id: "service-2" })] };
    await store.commit(
      range(1, 5).map((revision) => commitOf(BigInt(revision), two)),
      0n,
    );
    const read = async (maxHistory?: number) => (await store.load(maxHistory)).history;
    expect(revisionsOf(await read(0))).toEqual([]);
    expect(revisionsOf(await read(3))).toEqual([3, 4, 5]);
    expect((await read(3)).every(({ changes }) => changes.length === 2)).toBe(true); // whole
    for (const maxHistory of [5, 6, undefined])
      expect(revisionsOf(await read(maxHistory))).toEqual([1, 2, 3, 4, 5]);
  });
});

describe("a compaction", () => {
  it("forgets all changes up to and with a revision, and nothing else", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const entries = [entryRecord(), manualRecord()];
    await store.commit([commitOf(1n, { services: [serviceRecord()], entries })], 0n);
    await commitMany(store, 9, 1n);
    const { history: _, ...before } = await store.load();
    await store.compact(7n);
    const { history, ...after } = await store.load();
    expect(revisionsOf(history)).toEqual([8, 9, 10]);
    expect(after).toEqual(before);
    const { logged, minRevision } = look(directory);
    expect([logged(), minRevision()]).toEqual([[3, 8, 10], 7]);
  });

  it("of what is forgotten, and of nothing, changes nothing", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    await store.compact(0n);
    await commitMany(store, 5);
    await store.compact(3n);
    for (const revision of [3n, 2n, 0n]) await store.compact(revision);
    const { minRevision } = look(directory);
    expect([revisionsOf((await store.load()).history), minRevision()]).toEqual([[4, 5], 3]);
  });

  it("may leave nothing, and the next commits are a history again", async () => {
    const store = await openStore(await temporaryDirectory());
    await commitMany(store, 3);
    await store.compact(3n);
    expect(await store.load()).toMatchObject({ revision: 3n, stamp: "stamp-3", history: [] });
    await commitMany(store, 2, 3n);
    expect(revisionsOf((await store.load()).history)).toEqual([4, 5]);
    expect(revisionsOf((await store.load(1)).history)).toEqual([5]);
  });

  it("of thousands is done in slices, between which others commit", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    await commitMany(store, 3_500);
    const { logged, minRevision } = look(directory);
    const seen: unknown[] = [];
    let isDone = false;
    const compacted = store.compact(3_200n).then(() => {
      isDone = true;
    });
    for (let revision = 3_500n; !isDone && revision < 3_600n; revision++) {
      await commitMany(store, 1, revision);
      seen.push(minRevision());
      await new Promise(setImmediate);
    }
    await compacted;
    expect(seen).toContain(1_000);
    expect(seen).toContain(2_000);
    expect(logged()[1]).toBe(3_201);
    expect(minRevision()).toBe(3_200);
    const { history, revision } = await store.load();
    expect(revisionsOf(history)).toEqual(range(3_201, Number(revision)));
  });

  it("that was interrupted says what is gone, and a later one ends it", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    await commitMany(store, 2_500);
    const closed = store.compact(2_400n).catch((error: Error) => error);
    await new Promise(setImmediate);
    await store.close();
    await closed;
    const next = await openStore(directory);
    const { minRevision, logged } = look(directory);
    const from = Number(minRevision()) + 1;
    expect(from).toBeLessThan(2_401);
    expect(logged()[1]).toBe(from);
    expect(revisionsOf((await next.load()).history)).toEqual(range(from, 2_500));
    await next.compact(2_400n);
    expect(revisionsOf((await next.load()).history)).toEqual(range(2_401, 2_500));
  });
});

describe("an entry that is removed", () => {
  it("is gone with its row, and its name may be another's", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const kept = manualRecord({ id: "kept", name: "kept" });
    await store.commit([commitOf(1n, { entries: [manualRecord(), kept] })], 0n);
    await store.commit([commitOf(2n, { removedEntryIds: ["manual-1"] })], 1n);
    expect((await store.load()).entries).toEqual([kept]);
    const again = manualRecord({ id: "manual-2" });
    await store.commit([commitOf(3n, { entries: [again] })], 2n);
    await store.close();
    expect((await (await openStore(directory)).load()).entries).toEqual([kept, again]);
  });

  it("in the batch in which it was made leaves nothing but its changes", async () => {
    const store = await openStore(await temporaryDirectory());
    const commits = [
      commitOf(1n, { entries: [manualRecord()] }),
      commitOf(2n, { entries: [manualRecord({ name: "renamed", revision: 2n })] }),
      commitOf(3n, { removedEntryIds: ["manual-1"] }),
      commitOf(4n, { entries: [manualRecord({ id: "manual-2" })] }),
    ];
    await store.commit(commits, 0n);
    const { entries, history } = await store.load();
    expect(entries).toEqual(commits[3]?.entries);
    expect(history.map(({ changes }) => changes.map(({ type }) => type))).toEqual([
      ["put"],
      ["put"],
      ["delete"],
      ["put"],
    ]);
  });

  it("may have been edited before in the same batch", async () => {
    const store = await openStore(await temporaryDirectory());
    await store.commit([commitOf(1n, { entries: [manualRecord()] })], 0n);
    const edit = commitOf(2n, { entries: [manualRecord({ name: "renamed" })] });
    await store.commit([edit, commitOf(3n, { removedEntryIds: ["manual-1"] })], 1n);
    expect((await store.load()).entries).toEqual([]);
  });

  it("may be one of very many", async () => {
    const store = await openStore(await temporaryDirectory());
    const ids = Array.from({ length: 40_000 }, (_, i) => `manual-${i}`);
    const [first, second] = [manualRecord({ id: "manual-9" }), manualRecord({ id: "other" })];
    await store.commit([commitOf(1n, { entries: [first, second] })], 0n);
    await store.commit([{ ...commitOf(2n, {}), removedEntryIds: ids }], 1n);
    expect((await store.load()).entries).toEqual([second]);
  });
});
