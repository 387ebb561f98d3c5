import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, expect, it } from "vitest";
import {
  type ListAuditEntriesResponse,
  ListAuditEntriesResponseSchema,
} from "../../gen/pulse/v1/audit_service_pb.js";
import { followAudit } from "../../src/cli/audit-follow.js";
import type { WatchTarget } from "../../src/cli/pulse-watch.js";
import { ManualClock } from "../support/manual-clock.js";

type Answer = MessageInitShape<typeof ListAuditEntriesResponseSchema> | ConnectError;

const away = new ConnectError("nobody there", Code.Unavailable);
const page = (lastId: bigint, ...ids: bigint[]) => ({ lastId, entries: ids.map((id) => ({ id })) });

let clock: ManualClock;
let stopping: AbortController;
let answers: Answer[];
let asked: string[];
let printed: string[];
let notes: string[];
beforeEach(() => {
  clock = new ManualClock();
  stopping = new AbortController();
  [answers, asked, printed, notes] = [[], [], [], []];
});

async function answer(question: string): Promise<ListAuditEntriesResponse> {
  asked.push(question);
  const next = answers.shift() ?? page(BigInt(asked.length));
  if (next instanceof ConnectError) throw next;
  return create(ListAuditEntriesResponseSchema, next);
}

function start(): Promise<void> {
  const target: WatchTarget = {
    options: { pulse: "http://pulse", token: "t", signal: stopping.signal },
    notes: {
      lost: ({ message }) => void notes.push(message),
      found: () => void notes.push("found"),
    },
    refusal: (error) => new Error(`refused: ${error.message}`),
  };
  return followAudit(
    {
      first: () => answer("newest"),
      next: (afterId) => answer(`after ${afterId}`),
      print: (entries, isFirst) =>
        void printed.push(`${isFirst ? "first" : "then"} ${entries.map(({ id }) => id).join(" ")}`),
      clock,
    },
    target,
  );
}

it("the newest come first, and then each second what came after the last that was seen", async () => {
  answers = [page(3n, 2n, 3n), page(3n), page(5n, 4n, 5n), page(6n), page(9n, 9n)];
  const following = start();
  await clock.advance(2_500);
  expect(asked).toEqual(["newest", "after 3", "after 3", "after 5", "after 6"].slice(0, 4));
  await clock.advance(1_000);
  expect(asked[4]).toBe("after 6");
  expect(printed).toEqual(["first 2 3", "then 4 5", "then 9"]);
  stopping.abort();
  await following;
  expect(clock.pending).toBe(0);
});

it("a Pulse that is away is waited for, before the first answer and after it", async () => {
  answers = [away, page(3n), away, away, page(4n, 4n)];
  const following = start();
  await clock.advance(5_000);
  expect(asked.slice(0, 5)).toEqual(["newest", "newest", "after 3", "after 3", "after 3"]);
  expect(printed).toEqual(["first ", "then 4"]);
  expect(notes.slice(0, 5)).toEqual([away, "found", away, away, "found"].map(String).map(plain));
  stopping.abort();
  await following;
});

it("a log that is shorter than it was, after a restored backup, is followed from its end", async () => {
  answers = [page(7n), page(2n), page(3n, 3n)];
  const following = start();
  await clock.advance(3_000);
  expect(asked.slice(0, 4)).toEqual(["newest", "after 7", "after 2", "after 3"]);
  stopping.abort();
  await following;
});

it.each([Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented])(
  "what waiting does not mend ends it: %s",
  async (code) => {
    answers = [new ConnectError("no", code)];
    await expect(start()).rejects.toThrow("refused: ");
    expect(clock.pending).toBe(0);
  },
);

function plain(text: string): string {
  return text.replace(/^ConnectError: /, "");
}
