import { describe, expect, it } from "vitest";
import type { AppliedChange } from "../../src/core/catalog.js";
import type { Change, CommitSummary } from "../../src/core/change.js";
import { resolveEntry } from "../../src/core/entry.js";
import { History, type HistoryPolicy, UNKNOWN } from "../../src/pulse/history.js";
import { entryRecord, serviceRecord, tokenRecord } from "../store/sample-records.js";

const EPOCH = "epoch-1";

function summary(revision: bigint, ...subjectIds: string[]): CommitSummary {
  return {
    revision,
    stamp: `s${revision}`,
    at: 1_000 * Number(revision),
    reason: "registered",
    changes: subjectIds.map(changeOf),
  };
}

function changeOf(subjectId: string): Change {
  return { subject: "service", subjectId, type: "put", detail: "" };
}

/** A history whose start is the commits up to `revision`, of which the newest `kept` are there. */
function historyAt(revision: bigint, kept: number, policy: Partial<HistoryPolicy> = {}) {
  const history = Array.from({ length: kept }, (_, i) =>
    summary(revision - BigInt(kept - 1 - i), "one"),
  );
  const stamp = revision === 0n ? "" : `s${revision}`;
  return new History(
    { epoch: EPOCH, revision, stamp, history },
    { maxCommits: 100, maxAgeMs: 1e12, ...policy },
  );
}

function append(history: History, revision: bigint, ...subjectIds: string[]): void {
  const applied = subjectIds.map(
    (id): AppliedChange => ({
      subject: "service",
      change: changeOf(id),
      before: undefined,
      after: serviceRecord({ id }),
    }),
  );
  history.append(summary(revision), applied);
}

const place = (history: History, revision: bigint, stamp = `s${revision}`, epoch = EPOCH) =>
  history.placeOf({ epoch, revision, stamp });

describe("the place of a token", () => {
  it("is known for each commit that is kept, if its stamp is that commit's", () => {
    const history = historyAt(10n, 3);
    for (const revision of [8n, 9n, 10n]) {
      expect(place(history, revision)).toBe("known");
      expect(place(history, revision, "another")).toBe("other-history");
    }
  });

  it("is compacted for what is older, even just before the first commit, whose stamp nobody knows", () => {
    const history = historyAt(10n, 3);
    for (const revision of [0n, 1n, 6n, 7n]) expect(place(history, revision)).toBe("compacted");
    expect(history.compactedRevision).toBe(7n);
  });

  it("is the future for a revision that is not reached yet, and other history once another commit has taken it", () => {
    const history = historyAt(10n, 3);
    expect(place(history, 12n, "lost")).toBe("future");
    append(history, 11n, "one");
    expect(place(history, 12n, "lost")).toBe("future");
    append(history, 12n, "one");
    expect(place(history, 12n, "lost")).toBe("other-history");
    expect(place(history, 12n)).toBe("known");
  });

  it("is other history for another epoch, wherever it stands", () => {
    const history = historyAt(10n, 3);
    for (const revision of [0n, 5n, 10n, 99n])
      expect(place(history, revision, `s${revision}`, "epoch-2")).toBe("other-history");
  });

  it("is known for the newest commit, though everything is compacted", () => {
    const history = historyAt(10n, 0);
    expect(place(history, 10n)).toBe("known");
    expect(place(history, 10n, "another")).toBe("other-history");
    expect(place(history, 9n)).toBe("compacted");
  });

  it("is known for revision 0 as long as nothing was compacted, and only without a stamp", () => {
    expect(place(historyAt(0n, 0), 0n, "")).toBe("known");
    const history = historyAt(2n, 2);
    expect(place(history, 0n, "")).toBe("known");
    expect(place(history, 0n, "x")).toBe("other-history");
    expect(place(historyAt(2n, 1), 0n, "")).toBe("compacted");
  });
});

describe("the changes since a revision", () => {
  const since = (history: History, revision: bigint) =>
    [...history.since(revision)].map(
      ({ commit, change }) => `${commit.revision} ${change.subjectId}`,
    );

  it("are all that came after it, in order, those of one commit together", () => {
    const history = historyAt(1n, 1);
    append(history, 2n, "a", "b");
    append(history, 3n);
    append(history, 4n, "a");
    expect(since(history, 0n)).toEqual(["1 one", "2 a", "2 b", "4 a"]);
    expect(since(history, 2n)).toEqual(["4 a"]);
    expect(since(history, 4n)).toEqual([]);
  });

  it("are still right after a compaction", () => {
    const history = historyAt(1n, 1, { maxCommits: 2 });
    for (const revision of [2n, 3n, 4n, 5n]) append(history, revision, `r${revision}`);
    expect(history.prune(0)).toBe(3n);
    expect(since(history, 4n)).toEqual(["5 r5"]);
    append(history, 6n, "r6");
    expect(since(history, 4n)).toEqual(["5 r5", "6 r6"]);
  });

  it("know what filters would have seen before, without a record and its credentials", () => {
    const service = serviceRecord({ apiKey: "planted-key" });
    const before = resolveEntry(entryRecord(), service);
    const history = historyAt(0n, 0);
    const change: Change = {
      subject: "download-client",
      subjectId: "entry-1",
      type: "put",
      detail: "",
    };
    const token: Change = { ...change, subject: "token", subjectId: "token-1" };
    history.append(summary(1n), [
      { subject: "download-client", change, before, after: before },
      { subject: "download-client", change, before: undefined, after: before },
      { subject: "token", change: token, before: tokenRecord(), after: tokenRecord() },
    ]);
    const past = [...history.since(0n)].map((each) => each.before);
    expect(past).toEqual([
      {
        ...{ protocol: "torrent", kind: "qbittorrent", availability: "online" },
        ...{ credentialState: "unverified", enabled: true },
      },
      undefined,
      undefined,
    ]);
    expect(JSON.stringify(past)).not.toContain("planted-key");
  });

  it("do not know that of an earlier run", () => {
    expect([...historyAt(1n, 1).since(0n)].map(({ before }) => before)).toEqual([UNKNOWN]);
  });
});

it("the changes of some subjects are theirs alone, oldest first", () => {
  const history = historyAt(1n, 1);
  append(history, 2n, "a", "b", "c");
  append(history, 3n, "c", "a");
  expect([...history.of(["a", "c"])].map(({ change }) => change.subjectId)).toEqual([
    "a",
    "c",
    "c",
    "a",
  ]);
  expect([...history.of(["nobody"])]).toEqual([]);
});

describe("pruning", () => {
  it("drops what is too much, the oldest first, and says up to where", () => {
    const history = historyAt(10n, 10, { maxCommits: 4 });
    expect(history.prune(0)).toBe(6n);
    expect([...history.since(6n)].map(({ commit }) => commit.revision)).toEqual([7n, 8n, 9n, 10n]);
    expect(history.prune(0)).toBeUndefined();
  });

  it("drops what is too old, and not what is exactly that old", () => {
    const history = historyAt(10n, 10, { maxAgeMs: 5_000 }); // commit n is of second n
    expect(history.prune(8_000)).toBe(2n);
    expect(history.prune(8_000)).toBeUndefined();
    expect(history.prune(1e9)).toBe(10n);
    expect(place(history, 10n)).toBe("known");
    expect(history.point).toEqual({ epoch: EPOCH, revision: 10n, stamp: "s10" });
  });

  it("keeps all while the wall clock stands before them", () => {
    expect(historyAt(10n, 10, { maxAgeMs: 5_000 }).prune(0)).toBeUndefined();
  });

  it("is urgent once a tenth and a hundred are too many", () => {
    const history = historyAt(110n, 110, { maxCommits: 10 });
    append(history, 111n, "one");
    expect(history.isOverfull).toBe(false);
    append(history, 112n, "one");
    expect(history.isOverfull).toBe(true);
    history.prune(0);
    expect(history.isOverfull).toBe(false);
  });
});
