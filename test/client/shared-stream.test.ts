import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import {
  type HeartbeatRequestSchema,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  LeaseLostReason,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { createMessageQueue, type MessageQueue } from "../../src/client/message-queue.js";
import { SharedStream } from "../../src/client/shared-stream.js";
import { settle } from "../support/manual-clock.js";

type Heartbeat = MessageInitShape<typeof HeartbeatRequestSchema>;

/** The other end of each real stream that was opened. */
interface Opened {
  readonly got: string[];
  readonly answers: MessageQueue<HeartbeatResponse>;
  failure: ConnectError | undefined;
  state: "open" | "cancelled";
}

let opened: Opened[];
let over: number;
let stream: SharedStream;
beforeEach(() => {
  opened = [];
  over = 0;
  stream = new SharedStream({ registry: { heartbeat }, onOver: () => void over++ });
});

async function* heartbeat(
  requests: AsyncIterable<Heartbeat>,
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<HeartbeatResponse> {
  const real: Opened = {
    got: [],
    answers: createMessageQueue(),
    failure: undefined,
    state: "open",
  };
  opened.push(real);
  signal.addEventListener("abort", () => {
    real.state = "cancelled";
    real.answers.end();
  });
  void (async () => {
    for await (const { leaseId, sequence } of requests) real.got.push(`${leaseId}#${sequence}`);
  })();
  yield* real.answers;
  if (real.failure) throw real.failure;
}

/** A session on the stream, which notes what it is told. */
function join() {
  const heartbeats = createMessageQueue<Heartbeat>();
  const leaving = new AbortController();
  const told: string[] = [];
  const asked: string[] = [];
  const read = async () => {
    try {
      for await (const { event } of stream.join({
        heartbeats,
        signal: leaving.signal,
        onAsk: () => asked.push("asked"),
        onAnswer: () => asked.push("answered"),
      }))
        told.push(
          event.case === "renewed" || event.case === "leaseLost"
            ? `${event.case} ${event.value.leaseId}`
            : `${event.case}`,
        );
      told.push("end");
    } catch (error) {
      told.push(ConnectError.from(error).rawMessage);
    }
  };
  const done = read();
  return {
    told,
    asked,
    done,
    beat: (leaseId: string, sequence = 1n) => heartbeats.push({ leaseId, sequence }),
    leave() {
      heartbeats.end();
      leaving.abort();
    },
  };
}

const real = (): Opened => opened[0] as Opened;
const answer = (event: MessageInitShape<typeof HeartbeatResponseSchema>["event"]) =>
  real().answers.push(create(HeartbeatResponseSchema, event ? { event } : {}));
const renew = (leaseId: string) => answer({ case: "renewed", value: { leaseId } });
const lose = (leaseId: string) =>
  answer({ case: "leaseLost", value: { leaseId, reason: LeaseLostReason.EXPIRED } });

describe("a stream that sessions share", () => {
  it("is opened once, and gives each session the answers to its own lease, in order", async () => {
    const [one, two] = [join(), join()];
    one.beat("a");
    two.beat("b");
    one.beat("a", 2n);
    await settle();
    expect(opened).toHaveLength(1);
    expect(real().got).toEqual(["a#1", "b#1", "a#2"]);
    renew("a");
    lose("b");
    renew("a");
    await settle();
    expect(one.told).toEqual(["renewed a", "renewed a"]);
    expect(two.told).toEqual(["leaseLost b"]);
  });

  it("tells all of them that Pulse is stopping, and how it ends", async () => {
    const sessions = [join(), join()];
    answer({ case: "draining", value: {} });
    real().failure = new ConnectError("stopped", Code.Unavailable);
    real().answers.end();
    await Promise.all(sessions.map(({ done }) => done));
    for (const { told } of sessions) expect(told).toEqual(["draining", "stopped"]);
    expect(over).toBe(1);
  });

  it("ends for all without an error if Pulse ends it so", async () => {
    const sessions = [join(), join()];
    real().answers.end();
    await Promise.all(sessions.map(({ done }) => done));
    expect(sessions.map(({ told }) => told)).toEqual([["end"], ["end"]]);
  });

  it("goes on when a session leaves, whose answers come to nobody then", async () => {
    const [one, two] = [join(), join()];
    one.beat("a");
    two.beat("b");
    await settle();
    one.leave();
    renew("a");
    renew("b");
    renew("of nobody");
    await settle();
    expect([one.told, two.told]).toEqual([["end"], ["renewed b"]]);
    expect([real().state, over]).toEqual(["open", 0]);
  });

  it("is cancelled when the last one leaves, and takes nobody after that", async () => {
    const sessions = [join(), join()];
    for (const { leave } of sessions) leave();
    await settle();
    expect([real().state, over]).toEqual(["cancelled", 1]);
  });

  it("takes sessions that come later", async () => {
    const one = join();
    one.beat("a");
    await settle();
    const two = join();
    one.leave();
    two.beat("b");
    await settle();
    renew("b");
    await settle();
    expect(two.told).toEqual(["renewed b"]);
    expect([opened.length, real().got, real().state]).toEqual([1, ["a#1", "b#1"], "open"]);
  });

  it("follows a session to its new lease, and forgets the one of before", async () => {
    const [one, two] = [join(), join()];
    one.beat("a");
    await settle();
    one.beat("a2");
    await settle();
    lose("a");
    renew("a2");
    await settle();
    expect([one.told, two.told]).toEqual([["renewed a2"], []]);
  });

  it("leaves a lease with who has named it last, also when the one before leaves", async () => {
    const [one, two] = [join(), join()];
    one.beat("a");
    await settle();
    two.beat("a");
    await settle();
    one.leave();
    renew("a");
    await settle();
    expect(two.told).toEqual(["renewed a"]);
  });

  it("hands on what it does not know, for all to ignore", async () => {
    const sessions = [join(), join()];
    answer(undefined);
    await settle();
    expect(sessions.map(({ told }) => told)).toEqual([["undefined"], ["undefined"]]);
  });

  it("says for each heartbeat when it leaves, and when its answer is there", async () => {
    const [one, two] = [join(), join()];
    one.beat("a");
    await settle();
    expect(one.asked).toEqual(["asked"]);
    renew("a");
    renew("b");
    await settle();
    expect([one.asked, two.asked]).toEqual([["asked", "answered"], []]);
  });

  it("that is ended here ends for all with that error, once", async () => {
    const sessions = [join(), join()];
    stream.end(new ConnectError("given up", Code.Unavailable));
    stream.end(new ConnectError("again", Code.Unavailable));
    await Promise.all(sessions.map(({ done }) => done));
    expect(sessions.map(({ told }) => told)).toEqual([["given up"], ["given up"]]);
    expect([real().state, over]).toEqual(["cancelled", 1]);
  });

  it("is not opened for a session that has left before it began", async () => {
    const leaving = new AbortController();
    leaving.abort();
    const joined = stream.join({
      heartbeats: createMessageQueue<Heartbeat>(),
      signal: leaving.signal,
      onAsk: () => {},
      onAnswer: () => {},
    });
    expect(await joined.next()).toEqual({ done: true, value: undefined });
    expect(opened).toEqual([]);
  });
});
