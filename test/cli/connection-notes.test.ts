import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { connectionNotes } from "../../src/cli/connection-notes.js";

const error = new ConnectError("connect ECONNREFUSED", Code.Unavailable);

function recorded() {
  const said: string[] = [];
  return { said, notes: connectionNotes("http://nas:9696", (text) => said.push(text)) };
}

test("a Pulse that is there is not worth a word", () => {
  const { said, notes } = recorded();
  notes.found();
  notes.found();
  expect(said).toEqual([]);
});

test("a Pulse that is down at the start is said once, and that it has come", () => {
  const { said, notes } = recorded();
  notes.lost(error);
  notes.lost(error);
  notes.found();
  expect(said).toEqual([
    "Cannot watch Pulse at http://nas:9696 yet (connect ECONNREFUSED); trying until that works.",
    "Watching Pulse at http://nas:9696 now.",
  ]);
});

test("each loss is said once, and each return", () => {
  const { said, notes } = recorded();
  notes.found();
  for (let i = 0; i < 2; i++) {
    notes.lost(error);
    notes.lost(error);
    notes.found();
  }
  expect(said).toEqual(
    Array(2)
      .fill([
        "Lost Pulse at http://nas:9696 (connect ECONNREFUSED); trying to reach it again.",
        "Pulse at http://nas:9696 is back.",
      ])
      .flat(),
  );
});

test("a token that is not there yet is said as the reason", () => {
  const { said, notes } = recorded();
  notes.lost(new ConnectError("the token function failed: no token found in /a", Code.Unavailable));
  expect(said[0]).toContain("yet (no token found in /a);");
});
