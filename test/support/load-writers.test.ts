import { expect, it } from "vitest";
import { commitOf, entryRecord } from "../store/sample-records.js";
import { lostWrites, type Write } from "./load-writers.js";

function write(revision: bigint, isIn: boolean): Write {
  return {
    writer: "one",
    kind: "edit",
    startedAt: 0,
    endedAt: 1,
    outcome: "ok",
    failure: undefined,
    acknowledged: { revision, isIn: () => isIn },
  };
}

it("a write is lost if its revision is missing, or another has taken it", () => {
  const commits = [1n, 2n].map((revision) => commitOf(revision, { entries: [entryRecord()] }));
  const refused: Write = { ...write(9n, false), outcome: "Unavailable", acknowledged: undefined };
  expect(lostWrites([write(1n, true), refused], commits)).toEqual([]);
  expect(lostWrites([write(2n, false), write(3n, true)], commits)).toEqual([
    "edit of one at 2 is another",
    "edit of one at 3 is lost",
  ]);
});
