import { expect, it } from "vitest";
import { writeResumeToken } from "../../src/pulse/resume-token.js";

const point = { epoch: "epoch-1", revision: 7n, stamp: "stamp-7" };

it("a resume token tells one commit of one history from every other", () => {
  const tokens = [
    point,
    { ...point, epoch: "epoch-2" },
    { ...point, revision: 8n },
    { ...point, stamp: "another 7" },
    // The newest revision that a counter of 64 bits can reach.
    { ...point, revision: 9_223_372_036_854_775_807n },
  ].map(writeResumeToken);
  expect(new Set(tokens).size).toBe(tokens.length);
  expect(writeResumeToken({ ...point })).toBe(tokens[0]);
  for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
});

it("a registry that has committed nothing has one too", () => {
  expect(writeResumeToken({ epoch: "epoch-1", revision: 0n, stamp: "" })).not.toBe("");
});
