import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  type WatchDownloadClientsResponse,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { printResponses } from "../../src/cli/watch-json.js";
import type { StreamItem } from "../../src/client/index.js";

type Item = StreamItem<WatchDownloadClientsResponse>;

const part = (revision: bigint, more: boolean): Item => ({
  type: "response",
  response: create(WatchDownloadClientsResponseSchema, {
    event: { case: "snapshot", value: { more } },
    revision,
  }),
});
const bookmark: Item = {
  type: "response",
  response: create(WatchDownloadClientsResponseSchema, {
    event: { case: "bookmark", value: {} },
    revision: 9n,
  }),
};
const interrupted: Item = {
  type: "interrupted",
  error: new Error("cut"),
  attempt: 1,
  retryInMs: 0,
};

/** The revisions that are printed, and what is said in between. */
async function printed(...items: Item[]): Promise<string[]> {
  const out: string[] = [];
  async function* stream() {
    yield* items;
  }
  const notes = { lost: () => out.push("lost"), found: () => {} };
  const refusal = (error: Error) => new Error(`refused: ${error.message}`);
  await printResponses(stream(), { notes, refusal }, ({ revision }) => out.push(String(revision)));
  return out;
}

test("every response is printed, in order", async () => {
  expect(await printed(part(1n, true), part(2n, false), bookmark)).toEqual(["1", "2", "9"]);
});

test("of a snapshot that is not whole when the stream is lost, nothing is", async () => {
  expect(await printed(part(1n, true), interrupted, part(3n, true), part(4n, false))).toEqual([
    "lost",
    "3",
    "4",
  ]);
});

test("a refused token ends it", () =>
  expect(
    printed(bookmark, { type: "rejected", error: new Error("revoked"), retryInMs: 60_000 }),
  ).rejects.toThrow("refused: revoked"));
