import { describe, expect, it } from "vitest";
import { writeResumeToken } from "../../src/pulse/resume-token.js";
import type {
  RecordedResponse,
  RecordedStream,
  Recording,
  SnapshotReasonName,
  State,
  Truth,
} from "./watch-recording.js";
import { atomic, bookmarkable, ordered, reliable, resumable, unique } from "./watch-validators.js";

// The truth of all these recordings: commit by commit, the state is
//   1: a=1 · 2: a=1 b=2 · 3: a=3 b=3 (one commit, two items) · 4: nothing to see · 5: a=3
const STATES: readonly Record<string, string>[] = [
  {},
  { a: "1" },
  { a: "1", b: "2" },
  { a: "3", b: "3" },
  { a: "3", b: "3" },
  { a: "3" },
];
const IDS: readonly string[][] = [[], ["a"], ["b"], ["a", "b"], [], ["b"]];

const tokenOf = (revision: number) =>
  revision === 0
    ? ""
    : writeResumeToken({ epoch: "epoch", revision: BigInt(revision), stamp: `s${revision}` });
const TOKENS = STATES.map((_, revision) => tokenOf(revision));

const truth: Truth = {
  stateAt: (token) => {
    const state = STATES[TOKENS.indexOf(token)];
    return state && new Map(Object.entries(state));
  },
  between(from, to) {
    const [first, last] = [TOKENS.indexOf(from), TOKENS.indexOf(to)];
    if (first < 0 || last < first) return undefined;
    return IDS.slice(first + 1, last + 1).map((ids, i) => ({
      revision: BigInt(first + 1 + i),
      ids,
    }));
  },
};

const snapshot = (
  revision: number,
  { more = false, reason = "FIRST" as SnapshotReasonName, of = STATES[revision] ?? {} } = {},
): RecordedResponse => ({
  revision: BigInt(revision),
  token: more ? "" : tokenOf(revision),
  event: {
    kind: "snapshot",
    items: Object.entries(of).map(([id, text]) => ({ id, text })),
    more,
    reason,
  },
});
/** `token` is the revision of the token, its own if left out. */
const put = (id: string, text: string, revision: number, token = revision): RecordedResponse => ({
  revision: BigInt(revision),
  token: tokenOf(token),
  event: { kind: "put", item: { id, text } },
});
const gone = (id: string, revision: number, token = revision): RecordedResponse => ({
  revision: BigInt(revision),
  token: tokenOf(token),
  event: { kind: "delete", id },
});
const bookmark = (revision: number, token = revision): RecordedResponse => ({
  revision: BigInt(revision),
  token: tokenOf(token),
  event: { kind: "bookmark" },
});

/** A stream that was opened with the token of a revision; 0: with none. */
const stream = (from: number, ...responses: RecordedResponse[]): RecordedStream => ({
  openedWith: tokenOf(from),
  responses,
  end: "",
});
const recording = (...streams: RecordedStream[]): Recording => ({ name: "w", streams, truth });

const VALIDATORS = { ordered, unique, atomic, reliable, bookmarkable };
/** The names of the validators that find something wrong. */
const brokenBy = (...streams: RecordedStream[]) =>
  Object.entries(VALIDATORS)
    .filter(([, validate]) => validate(recording(...streams)).length > 0)
    .map(([name]) => name);

describe("a recording that keeps all guarantees", () => {
  it.each<[string, RecordedStream[]]>([
    [
      "live",
      [
        stream(
          0,
          snapshot(1),
          put("b", "2", 2),
          put("a", "3", 3, 2),
          put("b", "3", 3),
          bookmark(4),
          gone("b", 5),
        ),
      ],
    ],
    [
      "a snapshot in parts",
      [stream(0, snapshot(2, { more: true, of: { a: "1" } }), snapshot(2, { of: { b: "2" } }))],
    ],
    ["coalesced", [stream(0, snapshot(1), put("a", "3", 3, 1), gone("b", 5))]],
    ["what came and went left out", [stream(0, snapshot(1), put("a", "3", 3, 1), bookmark(5))]],
    [
      "cut off while the token stood still, and told once more",
      [
        stream(0, snapshot(1), put("b", "2", 2), put("a", "3", 3, 2)),
        stream(2, put("a", "3", 3, 2), gone("b", 5), bookmark(5)),
      ],
    ],
    [
      "compacted",
      [stream(0, snapshot(1)), stream(1, snapshot(3, { reason: "COMPACTED" }), gone("b", 5))],
    ],
    [
      "of another history, whose revisions are lower",
      [stream(0, snapshot(4)), stream(4, snapshot(1, { reason: "OTHER_HISTORY" }))],
    ],
    [
      "that broke in the middle of a snapshot",
      [stream(0, snapshot(2, { more: true, of: { a: "1", x: "x" } })), stream(0, snapshot(2))],
    ],
    ["empty", [stream(0)]],
  ])("passes: %s", (_, streams) => {
    expect(brokenBy(...streams)).toEqual([]);
  });
});

describe("ordered finds", () => {
  it.each<[string, RecordedStream[], string]>([
    [
      "a change out of order",
      [stream(0, snapshot(1), put("a", "3", 3, 1), put("b", "2", 2, 1))],
      "revision 2 after 3",
    ],
    ["a token that falls", [stream(0, snapshot(3), bookmark(4, 2))], "a token of 2 after one of 3"],
    ["a resume that begins before its token", [stream(2, bookmark(1))], "revision 1 after 2"],
    [
      "a compacted snapshot from before what was seen",
      [stream(0, snapshot(5)), stream(5, snapshot(3, { reason: "COMPACTED" }))],
      "snapshot of 3, and 5 was seen before",
    ],
    [
      "a snapshot after changes",
      [stream(0, snapshot(1), put("b", "2", 2), snapshot(3))],
      "a snapshot too late",
    ],
  ])("%s", (_, streams, problem) => {
    expect(ordered(recording(...streams)).join()).toContain(problem);
  });
});

describe("unique finds", () => {
  it.each<[string, RecordedStream[], string]>([
    [
      "a change twice",
      [stream(0, snapshot(1), put("b", "2", 2, 1), put("b", "2", 2))],
      "b of 2 comes twice",
    ],
    [
      "a change that the snapshot has",
      [stream(0, snapshot(2), put("b", "2", 2))],
      "after a token of 2",
    ],
    [
      "a change that the resume token covered",
      [stream(2, put("b", "2", 2), bookmark(2))],
      "after a token of 2",
    ],
    [
      "a change that a bookmark covered",
      [stream(0, snapshot(1), bookmark(2), put("b", "2", 2))],
      "after a token of 2",
    ],
    [
      "an item in two parts of a snapshot",
      [stream(0, snapshot(1, { more: true }), snapshot(1))],
      "a of the snapshot comes twice",
    ],
  ])("%s", (_, streams, problem) => {
    expect(unique(recording(...streams)).join()).toContain(problem);
  });
});

describe("atomic finds", () => {
  it.each<[string, RecordedStream[], string]>([
    [
      "half a commit under its token",
      [stream(0, snapshot(2), put("a", "3", 3))],
      "a token of 3 without b of 3",
    ],
    [
      "a token that passes over a change",
      [stream(0, snapshot(1), bookmark(2))],
      "a token of 2 without b of 2",
    ],
    ["a forgotten DELETE", [stream(0, snapshot(4), bookmark(5))], "a token of 5 without b of 5"],
    [
      "a token of before what was sent",
      [stream(0, snapshot(1), put("b", "3", 3, 1), bookmark(3, 2))],
      "a part of 3 is sent, and then a token of 2",
    ],
    [
      "a token in the middle of a snapshot",
      [stream(0, { ...snapshot(2, { more: true }), token: tokenOf(2) })],
      "with the last part",
    ],
    [
      "a snapshot without a token",
      [stream(0, { ...snapshot(2), token: "" })],
      "with the last part",
    ],
    ["changes without a snapshot", [stream(0, put("a", "1", 1))], "a token before any snapshot"],
    [
      "a token of a history that left this one",
      [
        stream(0, snapshot(1), {
          ...bookmark(2),
          token: writeResumeToken({ epoch: "epoch", revision: 2n, stamp: "else" }),
        }),
      ],
      "no way leads from 1 to 2",
    ],
  ])("%s", (_, streams, problem) => {
    expect(atomic(recording(...streams)).join()).toContain(problem);
  });
});

describe("reliable finds", () => {
  it.each<[string, RecordedStream[], string]>([
    ["a gap", [stream(0, snapshot(1), bookmark(2))], "at the token of 2 b is missing"],
    ["what is gone", [stream(0, snapshot(4), bookmark(5))], "at the token of 5 b is too many"],
    ["what is wrong", [stream(0, snapshot(1), put("b", "x", 2))], "b is x, not 2"],
    ["a snapshot that is not whole", [stream(0, snapshot(2, { of: { a: "1" } }))], "b is missing"],
    [
      "a state that is newer than its token",
      [stream(0, snapshot(1), put("a", "3", 3, 2))],
      "at the token of 2 b is missing; a is 3, not 1",
    ],
    [
      "what a resume left out",
      [stream(0, snapshot(1), put("b", "2", 2)), stream(2, bookmark(3))],
      "at the token of 3 a is 1, not 3",
    ],
    [
      "what was seen beyond a token and not taken back",
      [stream(0, snapshot(1), put("x", "x", 2, 1)), stream(1, put("b", "2", 2))],
      "x is too many",
    ],
    [
      "a token of no commit",
      [stream(0, { ...snapshot(1), token: tokenOf(9) })],
      "there was no such commit",
    ],
  ])("%s", (_, streams, problem) => {
    expect(reliable(recording(...streams)).join()).toContain(problem);
  });
});

describe("bookmarkable finds", () => {
  it.each<[string, RecordedStream[], string]>([
    [
      "a change that the bookmark promised was sent",
      [stream(0, snapshot(1), bookmark(3), put("a", "3", 3))],
      "put of 3 after a bookmark of 3",
    ],
    [
      "a bookmark behind what was sent",
      [stream(0, snapshot(3), bookmark(2))],
      "a bookmark of 2 after 3 was sent",
    ],
    [
      "a bookmark with another token",
      [stream(0, snapshot(1), bookmark(4, 3))],
      "without the token of it",
    ],
    [
      "a bookmark without a token",
      [stream(0, snapshot(1), { ...bookmark(4), token: "" })],
      "without the token of it",
    ],
  ])("%s", (_, streams, problem) => {
    expect(bookmarkable(recording(...streams)).join()).toContain(problem);
  });
});

describe("resumable", () => {
  const before: State = new Map([["a", "1"]]);
  const expected: State = new Map([["a", "3"]]);
  const replay = (...streams: RecordedStream[]) =>
    resumable([{ name: "w", before, streams, expected }]);

  it("passes whoever ends up as if never cut off, by changes or by a snapshot", () => {
    expect(replay(stream(1, put("a", "3", 3, 1), bookmark(5)))).toEqual([]);
    expect(replay(stream(1, snapshot(5, { reason: "COMPACTED" })))).toEqual([]);
    expect(
      replay(stream(1, put("x", "x", 2)), stream(2, put("a", "3", 3, 2), gone("x", 5))),
    ).toEqual([]);
  });

  it.each<[string, RecordedStream, string]>([
    ["what was not told", stream(1, bookmark(5)), "w, resumed from 1: a is 1, not 3"],
    ["what was not taken back", stream(1, put("a", "3", 3), put("b", "3", 3)), "b is too many"],
    ["what is missing", stream(1, gone("a", 5)), "a is missing"],
  ])("finds %s", (_, resumed, problem) => {
    expect(replay(resumed).join()).toContain(problem);
  });
});
