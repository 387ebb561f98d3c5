import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { encodeGrpcMessage } from "../../bench/generator/frames.js";
import { isBookmark, problemOfChange, problemOfSnapshot } from "../../bench/generator/messages.js";
import { type Publisher, Watchers } from "../../bench/generator/watchers.js";
import { WatchDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";

// What the benchmark of watches must see, or its times mean nothing.

type Event = NonNullable<MessageInitShape<typeof WatchDownloadClientsResponseSchema>["event"]>;

function response(event: Event): Buffer {
  const message = create(WatchDownloadClientsResponseSchema, { event, revision: 7n });
  return Buffer.from(toBinary(WatchDownloadClientsResponseSchema, message));
}

const HAUL = { name: "haul-1", version: "4.5.1", password: "key" };
const SNAPSHOT = response({ case: "snapshot", value: { downloadClients: [HAUL] } });
const CHANGE = response({ case: "change", value: { type: ChangeType.PUT, downloadClient: HAUL } });
const BOOKMARK = response({ case: "bookmark", value: {} });

const TIMEOUT_MS = 500;

let server: Http2Server | undefined;
let watchers: Watchers | undefined;

afterEach(() => {
  watchers?.close();
  server?.close();
});

/** So many watchers, of whom watch number `i` is told `tell(send, i)` at a change. */
async function watch(
  count: number,
  tell: (send: (message: Buffer) => void, index: number, stream: ServerHttp2Stream) => void,
  begin: (send: (message: Buffer) => void, index: number) => void = (send) => send(SNAPSHOT),
): Promise<Watchers> {
  const streams: ServerHttp2Stream[] = [];
  const sender = (stream: ServerHttp2Stream) => (message: Buffer) =>
    stream.write(encodeGrpcMessage(message));
  const listening = createServer().on("stream", (stream) => {
    stream.on("error", () => {}); // the watchers leave
    stream.respond({ ":status": 200 });
    begin(sender(stream), streams.push(stream) - 1);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const publisher: Publisher = {
    publish(onReply) {
      for (const [index, stream] of streams.entries()) tell(sender(stream), index, stream);
      onReply(undefined);
    },
    problemOfOpening: (message) => problemOfSnapshot(message, 1),
    problemOfChange: (message) => problemOfChange(message, "4.5.1"),
    close() {},
  };
  const { port } = listening.address() as AddressInfo;
  const target = { port, token: "t", isEcho: false };
  const opened = new Watchers(target, count, publisher, TIMEOUT_MS);
  watchers = opened;
  await opened.ready;
  return opened;
}

async function failuresOf(...args: Parameters<typeof watch>): Promise<readonly string[]> {
  const opened = await watch(...args);
  await opened.change();
  return Object.keys(opened.counters().failures);
}

describe("watchers of the load generator", () => {
  it("tell when the first, the middle and the last of them had a change", async () => {
    const opened = await watch(3, (send, index) => {
      if (index < 2) send(CHANGE);
      else setTimeout(send, 60, CHANGE);
    });
    const { firstMs, middleMs, lastMs } = await opened.change();
    expect(firstMs).toBeGreaterThan(0);
    expect(middleMs).toBeGreaterThanOrEqual(firstMs);
    expect(lastMs).toBeGreaterThan(middleMs);
    expect(lastMs).toBeGreaterThanOrEqual(59);
    expect(opened.counters()).toMatchObject({ done: 3, failures: {} });
  });

  it("record what they were told, for a reference to repeat", async () => {
    const opened = await watch(2, (send) => send(CHANGE));
    await opened.change();
    expect([opened.opening, opened.lastChange]).toEqual([SNAPSHOT, CHANGE]);
  });

  it("do not take a bookmark for a change", async () => {
    const tell = (send: (message: Buffer) => void) => {
      send(BOOKMARK);
      send(CHANGE);
    };
    expect(await failuresOf(2, tell)).toEqual([]);
  });

  it("fail if one of them is told something else than the others", async () => {
    const value = { type: ChangeType.PUT, reason: "another", downloadClient: HAUL };
    const other = response({ case: "change", value });
    expect(await failuresOf(2, (send, index) => send(index === 0 ? CHANGE : other))).toEqual([
      "not told the same as the others",
    ]);
  });

  it("fail if a change comes twice", async () => {
    const opened = await watch(2, (send, index) => {
      if (index === 1) setTimeout(send, 30, CHANGE);
      else for (const message of [CHANGE, CHANGE]) send(message);
    });
    await opened.change();
    expect(opened.counters().failures).toEqual({
      "a change that nobody made, or one that came twice": 1,
    });
  });

  it("fail if it is another change than the one that was made", async () => {
    const old = response({
      case: "change",
      value: { type: ChangeType.PUT, downloadClient: { ...HAUL, version: "4.5.0" } },
    });
    expect(await failuresOf(2, (send) => send(old))).toEqual([
      "another change than the one that was made",
    ]);
  });

  it("fail if a watch ends, and say why", async () => {
    const opened = await watch(1, (_, __, stream) => stream.end());
    await expect(opened.change()).rejects.toThrow(
      "1 of 1 watchers are without a change after 0.5 s; a watch ended: ended without grpc-status",
    );
  });

  it("fail if one of them is never told, and say how many", async () => {
    const opened = await watch(3, (send, index) => index === 0 && send(CHANGE));
    await expect(opened.change()).rejects.toThrow(
      "2 of 3 watchers are without a change after 0.5 s",
    );
  });

  it("are not ready if a watch begins with anything but the whole snapshot", async () => {
    const part = response({
      case: "snapshot",
      value: { downloadClients: [HAUL], more: true },
    });
    const wrong = watch(
      1,
      () => {},
      (send) => send(part),
    );
    await expect(wrong).rejects.toThrow("a watch without a whole snapshot");
  });
});

it("a bookmark is known by its first byte, however much follows", () => {
  expect([BOOKMARK, SNAPSHOT, CHANGE].map(isBookmark)).toEqual([true, false, false]);
});

it("entries without their credentials are not what a manager can use", () => {
  const bare = { ...HAUL, password: "" };
  const snapshot = response({ case: "snapshot", value: { downloadClients: [bare] } });
  const value = { type: ChangeType.PUT, downloadClient: bare };
  expect(problemOfSnapshot(snapshot, 1)).toBe("no credentials");
  expect(problemOfChange(response({ case: "change", value }), "4.5.1")).toBe("no credentials");
});
