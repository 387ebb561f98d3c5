import { expect, it } from "vitest";
import type { Commit } from "../../src/core/change.js";
import { describeEngines, type Place, run } from "./engines.js";
import {
  commitMany,
  commitOf,
  entryRecord,
  manualRecord,
  requestOf,
  serviceRecord,
} from "./sample-records.js";

const revisionsOf = (history: readonly Pick<Commit, "revision">[]) =>
  history.map(({ revision }) => Number(revision));
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Another program's view of the database. */
function look(place: Place) {
  const db = place.connect();
  const get = async (sql: string) =>
    Object.values((await run(db, sql))[0] ?? {}).map((value) => Number(value));
  return {
    logged: () => get("select count(*), min(rev), max(rev) from change_log"),
    fed: () => get("select count(*), min(rev), max(rev) from feed"),
    minRevision: async () => (await get("select min_rev from clock"))[0],
  };
}

describeEngines("the change log", (engine) => {
  it("is the history at the next start: what each commit was, and what its changes came to", async () => {
    const place = await engine.place();
    const store = await place.open();
    const { changes: _, ...first } = commitOf(1n, { services: [serviceRecord()] });
    const changes = [
      { subject: "service", subjectId: "service-1", type: "put", detail: "degraded: 😀 \"'" },
      { subject: "download-client", subjectId: "entry-1", type: "delete", detail: "" },
      { subject: "token", subjectId: "t", type: "put", detail: "pilot" },
    ] as const;
    const second = commitOf(2n, { services: [serviceRecord()] });
    const edited = { ...second, reason: "edited by 😀" as const, at: 1_767_225_600_000.5 };
    await store.commit(requestOf([{ ...first, changes }, edited]));
    await store.close();
    const { history } = await (await place.open()).load();
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
    const store = await (await engine.place()).open();
    const two = { services: [serviceRecord(), serviceRecord({ id: "service-2" })] };
    await store.commit(requestOf(range(1, 5).map((revision) => commitOf(BigInt(revision), two))));
    const read = async (maxHistory?: number) => (await store.load(maxHistory)).history;
    expect(revisionsOf(await read(0))).toEqual([]);
    expect(revisionsOf(await read(3))).toEqual([3, 4, 5]);
    expect((await read(3)).every(({ changes }) => changes.length === 2)).toBe(true); // whole
    for (const maxHistory of [5, 6, undefined])
      expect(revisionsOf(await read(maxHistory))).toEqual([1, 2, 3, 4, 5]);
  });
});

describeEngines("a compaction", (engine) => {
  it("forgets all changes up to and with a revision, and nothing else", async () => {
    const place = await engine.place();
    const store = await place.open();
    const entries = [entryRecord(), manualRecord()];
    await store.commit(requestOf([commitOf(1n, { services: [serviceRecord()], entries })]));
    await commitMany(store, 10, 1);
    const { history: _, ...before } = await store.load();
    await store.compact(7n);
    const { history, ...after } = await store.load();
    expect(revisionsOf(history)).toEqual([8, 9, 10]);
    expect(after).toEqual(before);
    const { logged, fed, minRevision } = look(place);
    expect([await logged(), await minRevision()]).toEqual([[3, 8, 10], 7]);
    expect(await fed()).toEqual(engine.isShared ? [3, 8, 10] : [0, 0, 0]);
  });

  it("of what is forgotten, and of nothing, changes nothing", async () => {
    const place = await engine.place();
    const store = await place.open();
    await store.compact(0n);
    await commitMany(store, 5);
    await store.compact(3n);
    for (const revision of [3n, 2n, 0n]) await store.compact(revision);
    const { minRevision } = look(place);
    expect([revisionsOf((await store.load()).history), await minRevision()]).toEqual([[4, 5], 3]);
  });

  it("never takes back what another has said is gone", async () => {
    const place = await engine.place();
    const store = await place.open();
    await commitMany(store, 6);
    await run(place.connect(), "update clock set min_rev = 5"); // and has not deleted it yet
    await store.compact(3n);
    expect(await look(place).minRevision()).toBe(5);
    expect(revisionsOf((await store.load()).history)).toEqual([6]);
  });

  it("may leave nothing, and the next commits are a history again", async () => {
    const store = await (await engine.place()).open();
    await commitMany(store, 3);
    await store.compact(3n);
    expect(await store.load()).toMatchObject({ revision: 3n, stamp: "stamp-3", history: [] });
    await commitMany(store, 5, 3);
    expect(revisionsOf((await store.load()).history)).toEqual([4, 5]);
    expect(revisionsOf((await store.load(1)).history)).toEqual([5]);
  });

  it("of thousands is done in slices, between which others commit", async () => {
    const place = await engine.place();
    const store = await place.open();
    await commitMany(store, 3_500);
    const { logged, minRevision } = look(place);
    const seen: unknown[] = [];
    let isDone = false;
    const compacted = store.compact(3_200n).then(() => {
      isDone = true;
    });
    for (let revision = 3_500; !isDone && revision < 3_600; revision++) {
      await commitMany(store, revision + 1, revision);
      seen.push(await minRevision());
      await new Promise(setImmediate);
    }
    await compacted;
    expect(seen.length).toBeGreaterThan(0); // commits that were done before it was
    for (const each of seen) expect([0, 1_000, 2_000, 3_000, 3_200]).toContain(each);
    expect((await logged())[1]).toBe(3_201);
    expect(await minRevision()).toBe(3_200);
    const { history, revision } = await store.load();
    expect(revisionsOf(history)).toEqual(range(3_201, Number(revision)));
  });

  it("that was interrupted says what is gone, and a later one ends it", async () => {
    const place = await engine.place();
    const store = await place.open();
    await commitMany(store, 2_500);
    const stopped = expect(store.compact(2_400n)).rejects.toThrow("the store is closed");
    await store.close();
    await stopped;
    const next = await place.open();
    const { minRevision, logged } = look(place);
    const from = Number(await minRevision()) + 1;
    expect(from).toBeLessThan(2_401);
    expect((await logged())[1]).toBe(from);
    expect(revisionsOf((await next.load()).history)).toEqual(range(from, 2_500));
    await next.compact(2_400n);
    expect(revisionsOf((await next.load()).history)).toEqual(range(2_401, 2_500));
  });
});

describeEngines("an entry that is removed", (engine) => {
  it("is gone with its row, and its name may be another's", async () => {
    const place = await engine.place();
    const store = await place.open();
    const kept = manualRecord({ id: "kept", name: "kept" });
    await store.commit(requestOf([commitOf(1n, { entries: [manualRecord(), kept] })]));
    await store.commit(requestOf([commitOf(2n, { removedEntryIds: ["manual-1"] })]));
    expect((await store.load()).entries).toEqual([kept]);
    const again = manualRecord({ id: "manual-2" });
    await store.commit(requestOf([commitOf(3n, { entries: [again] })]));
    await store.close();
    expect((await (await place.open()).load()).entries).toEqual([kept, again]);
  });

  it("in the batch in which it was made leaves nothing but its changes", async () => {
    const store = await (await engine.place()).open();
    const commits = [
      commitOf(1n, { entries: [manualRecord()] }),
      commitOf(2n, { entries: [manualRecord({ name: "renamed", revision: 2n })] }),
      commitOf(3n, { removedEntryIds: ["manual-1"] }),
      commitOf(4n, { entries: [manualRecord({ id: "manual-2" })] }),
    ];
    await store.commit(requestOf(commits));
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
    const store = await (await engine.place()).open();
    await store.commit(requestOf([commitOf(1n, { entries: [manualRecord()] })]));
    const edit = commitOf(2n, { entries: [manualRecord({ name: "renamed" })] });
    await store.commit(requestOf([edit, commitOf(3n, { removedEntryIds: ["manual-1"] })]));
    expect((await store.load()).entries).toEqual([]);
  });

  it("may be one of very many", async () => {
    const store = await (await engine.place()).open();
    const ids = Array.from({ length: 40_000 }, (_, i) => `manual-${i}`);
    const [first, second] = [manualRecord({ id: "manual-9" }), manualRecord({ id: "other" })];
    await store.commit(requestOf([commitOf(1n, { entries: [first, second] })]));
    await store.commit(requestOf([{ ...commitOf(2n, {}), removedEntryIds: ids }]));
    expect((await store.load()).entries).toEqual([second]);
  });
});
