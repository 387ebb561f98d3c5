import { beforeEach, describe, expect, it } from "vitest";
import type { ServiceTraits } from "../../src/core/filter.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { WatchView } from "../../src/pulse/watch-view.js";
import { serviceRecord } from "../store/sample-records.js";
import { type ToyResponse, ToyTopic } from "./toy-topic.js";

const PART_SIZE = 64 * 1_024;
const POINT = { revision: 7n, token: "t7", stale: false };

let topic: ToyTopic;
let view: WatchView<ServiceRecord, ServiceTraits, ToyResponse>;
beforeEach(() => {
  topic = new ToyTopic();
  view = new WatchView(topic, ({ status }) => status === "online", false);
});

function put(id: string, change: Partial<ServiceRecord> = {}): ServiceRecord {
  const service = serviceRecord({ id, ...change });
  topic.present.set(id, service);
  return service;
}
const texts = (responses: readonly ToyResponse[]) => responses.map(({ text }) => text);
const tokens = (responses: readonly ToyResponse[]) => responses.map(({ token }) => token);

describe("a snapshot", () => {
  it("of nothing is one response", () => {
    expect(view.snapshot("first", POINT)).toEqual([{ text: "first [] @7", token: "t7" }]);
  });

  it("has what the view has, and no more", () => {
    put("a");
    put("b", { status: "offline" });
    expect(texts(view.snapshot("first", POINT))).toEqual(["first [download-client a] @7"]);
  });

  it("comes in parts if it is large, and has its token in the last alone", () => {
    for (const id of ["a", "b", "c", "d", "e"]) put(id);
    topic.size = PART_SIZE / 2;
    const parts = view.snapshot("compacted", POINT);
    expect(texts(parts)).toEqual([
      "compacted [download-client a download-client b] and more @7",
      "compacted [download-client c download-client d] and more @7",
      "compacted [download-client e] @7",
    ]);
    expect(tokens(parts)).toEqual(["", "", "t7"]);
  });

  it("has an item in a part of its own if that is larger than a part should be", () => {
    for (const id of ["a", "b"]) put(id);
    topic.size = PART_SIZE + 1;
    expect(tokens(view.snapshot("first", POINT))).toEqual(["", "t7"]);
  });

  it("is made once for all who come at the same revision for the same cause", () => {
    put("a");
    const first = view.snapshot("first", POINT);
    expect(view.snapshot("first", POINT)).toBe(first);
    expect(texts(view.snapshot("future", POINT))).toEqual(["future [download-client a] @7"]);
    const later = { revision: 8n, token: "t8", stale: false };
    expect(tokens(view.snapshot("first", later))).toEqual(["t8"]);
    const before = view.snapshot("first", later);
    view.forgetOpenings();
    expect(view.snapshot("first", later)).not.toBe(before);
  });
});

describe("catching up", () => {
  const commit = (revision: bigint) => ({ revision, reason: "registered" as const });

  it("with nothing is a bookmark", () => {
    expect(view.catchUp(() => [], "t3", POINT)).toEqual([{ text: "bookmark @7", token: "t7" }]);
  });

  it("has the old token up to the last change, since before that it is not whole", () => {
    const changes = [
      { commit: commit(4n), id: "a", before: undefined, after: put("a") },
      { commit: commit(6n), id: "b", before: put("b"), after: undefined },
    ];
    expect(view.catchUp(() => changes, "t3", POINT)).toEqual([
      { text: "put download-client a (registered) @4", token: "t3" },
      { text: "delete b (registered) @6", token: "t7" },
      { text: "bookmark @7", token: "t7" },
    ]);
  });
});

it("an opening is kept for a few different ones alone", () => {
  put("a");
  const first = view.snapshot("first", POINT);
  for (const from of ["t1", "t2", "t3"]) view.catchUp(() => [], from, POINT);
  expect(view.snapshot("first", POINT)).toBe(first);
  view.catchUp(() => [], "t4", POINT);
  expect(view.snapshot("first", POINT)).not.toBe(first);
});

it("an item is picked if it is there and the filter lets it pass", () => {
  const [on, off] = [put("a"), put("b", { status: "offline" })];
  expect([view.pick(on), view.pick(off), view.pick(undefined)]).toEqual([on, undefined, undefined]);
});
