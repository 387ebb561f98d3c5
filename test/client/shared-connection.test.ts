import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import type { BareConnection, SessionConnection } from "../../src/client/clients.js";
import { createMessageQueue } from "../../src/client/message-queue.js";
import { SharedConnection } from "../../src/client/shared-connection.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { FakePulse } from "./fake-pulse.js";

let pulse: FakePulse;
let clock: ManualClock;
let shared: SharedConnection;
/** Connections in the order in which they were made. */
let made: (BareConnection & { isOpen: boolean; connects: number; comeUp(): void })[];
let told: string[];
beforeEach(() => {
  pulse = new FakePulse();
  clock = new ManualClock();
  made = [];
  told = [];
  shared = new SharedConnection({
    dial,
    endpoints: {
      current: undefined,
      others: "untried",
      leave: () => told.push("leave"),
      settle: () => told.push("settle"),
    },
    authorize: bearer("common"),
    clock,
  });
});

function dial(): BareConnection {
  const bare = pulse.dialBare();
  const listeners: (() => void)[] = [];
  const connection = {
    ...bare,
    isOpen: true,
    connects: 0,
    connect: () => void connection.connects++,
    onReady: (listener: () => void) => void listeners.push(listener),
    comeUp() {
      for (const listener of listeners) listener();
    },
    close() {
      connection.isOpen = false;
      bare.close();
    },
  };
  made.push(connection);
  return connection;
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

/** What a session does, without the session. */
function session(name: string, ownToken?: string) {
  const share = shared.share({
    ownToken: { isHeld: ownToken !== undefined },
    authorize: bearer(ownToken ?? "common"),
  });
  let connection: SessionConnection | undefined;
  const connected = () => {
    connection ??= share.dial();
    return connection;
  };
  const ended: string[] = [];
  let outgoing = createMessageQueue<{ leaseId: string; sequence: bigint }>();
  let leaving = new AbortController();
  const self = {
    answers: 0,
    ended,
    ready: 0,
    endpoints: share.endpoints,
    register: (signal = new AbortController().signal) =>
      connected().registry.register({ instanceId: name }, { signal }),
    async open() {
      outgoing = createMessageQueue();
      leaving = new AbortController();
      const heartbeats = connected().registry.heartbeat(outgoing, { signal: leaving.signal });
      try {
        for await (const _ of heartbeats) self.answers++;
        ended.push("ended");
      } catch (error) {
        ended.push(ConnectError.from(error).rawMessage);
      }
    },
    beat: () => outgoing.push({ leaseId: `lease of ${name}`, sequence: 1n }),
    closeStream() {
      outgoing.end();
      leaving.abort();
    },
    wait: () => connected().connect(),
    listen: () => connected().onReady(() => void self.ready++),
    drop() {
      connected().drop();
      connection = undefined;
    },
    close() {
      connected().close();
      connection = undefined;
    },
  };
  return self;
}
const sessions = (count: number) => Array.from({ length: count }, (_, i) => session(`${i}`));

describe("a connection that sessions share", () => {
  it("is made for the first, and closed after the last; who comes then has another", async () => {
    const [one, two] = [session("one"), session("two")];
    expect(made).toHaveLength(0);
    await one.register();
    await two.register();
    one.close();
    expect(made).toMatchObject([{ isOpen: true }]);
    two.close();
    expect(made).toMatchObject([{ isOpen: false }]);
    await one.register();
    expect(made).toMatchObject([{ isOpen: false }, { isOpen: true }]);
  });

  it("carries one stream for each token in use", async () => {
    const [one, two, own] = [session("one"), session("two"), session("own", "its-own")];
    for (const each of [one, two, own]) void each.open();
    await settle();
    expect([pulse.streams, made.length]).toEqual([2, 1]);
    pulse.revoke("its-own");
    await settle();
    expect([own.ended, one.ended, two.ended]).toEqual([["the token is not valid"], [], []]);
    pulse.revoke("common");
    await settle();
    expect([one.ended, two.ended]).toEqual([
      ["the token is not valid"],
      ["the token is not valid"],
    ]);
    expect(made).toMatchObject([{ isOpen: true }]);
  });

  it("tells all who listen that it has come up, and of a former one nobody", () => {
    const [one, two] = [session("one"), session("two")];
    one.listen();
    two.listen();
    one.wait();
    made[0]?.comeUp();
    expect([one.ready, two.ready]).toEqual([1, 1]);
    one.drop();
    made[0]?.comeUp();
    two.wait();
    made[1]?.comeUp();
    expect([one.ready, two.ready]).toEqual([1, 2]);
  });
});

describe("a connection that may be half-open", () => {
  it("is dropped for all, once: what they do on it fails as if Pulse were away", async () => {
    const all = sessions(3);
    for (const each of all) void each.open();
    await settle();
    pulse.mood = "silent";
    const late = session("late");
    const registering = late.register();
    await settle();
    pulse.mood = "well";
    for (const each of all) {
      each.closeStream(); // all find it silent at the same moment
      each.drop();
      each.wait();
    }
    await expect(registering).rejects.toMatchObject({ code: Code.Unavailable });
    expect(made).toMatchObject([{ isOpen: false }, { isOpen: true, connects: 3 }]);
  });

  it("ends the streams of those who have not noticed yet", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    await settle();
    one.closeStream();
    one.drop();
    await settle();
    expect(two.ended).toEqual([expect.stringContaining("the connection was given up")]);
    expect([pulse.streams, made[0]?.isOpen]).toEqual([0, false]);
  });

  it("that was replaced is no reason to drop the one in its place", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    await settle();
    one.closeStream();
    one.drop();
    void one.open();
    await settle();
    two.drop();
    await settle();
    expect([made.length, made[1]?.isOpen, one.ended.length, pulse.streams]).toEqual([
      2,
      true,
      1,
      1,
    ]);
  });

  it("is not what it seems if something later was answered: the others are not torn", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    pulse.heartbeats = "unanswered";
    one.beat();
    await settle();
    await clock.advance(1_000);
    pulse.heartbeats = "answered";
    two.beat();
    await settle();
    one.closeStream();
    one.drop();
    void one.open();
    await settle();
    expect(two.ended).toEqual([]);
    // But the stream on which one waited in vain is not tried again.
    expect([made.length, pulse.streams]).toEqual([1, 2]);
  });

  it("is dropped though a Register of another is answered: heartbeats are what must pass", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    pulse.heartbeats = "unanswered";
    one.beat();
    await clock.advance(1_000);
    await two.register();
    one.closeStream();
    one.drop();
    expect(made[0]?.isOpen).toBe(false);
  });

  it("is not dropped for a Register that is slow while heartbeats are answered", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    await settle();
    pulse.mood = "silent";
    const leaving = new AbortController();
    const registering = two.register(leaving.signal);
    await clock.advance(1_000);
    one.beat();
    await settle();
    leaving.abort();
    two.drop();
    await expect(registering).rejects.toMatchObject({ code: Code.Canceled });
    expect([one.ended, made[0]?.isOpen]).toEqual([[], true]);
  });

  it("is dropped by who has slept, though all was answered before", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    one.beat();
    await clock.advance(1_000);
    two.beat();
    await settle();
    one.drop();
    expect(made[0]?.isOpen).toBe(false);
  });

  it("is replaced at once if others wait for it to come up", async () => {
    const [one, two] = [session("one"), session("two")];
    one.wait();
    two.wait();
    one.drop();
    expect(made).toMatchObject([{ isOpen: false }, { connects: 1 }]);
    two.drop(); // it complains of the first
    expect(made).toMatchObject([{}, { isOpen: false }]); // nobody is left
    expect(made).toHaveLength(2);
  });
});

describe("an endpoint that sessions share", () => {
  it("is left once for one failure, however many it concerns", async () => {
    const all = sessions(6);
    for (const each of all) void each.open();
    await settle();
    for (const each of all) each.endpoints.leave();
    expect(told).toEqual(["leave"]);
    for (const each of all) {
      each.closeStream();
      void each.open();
    }
    await settle();
    for (const each of all) each.endpoints.leave();
    expect(told).toEqual(["leave", "leave"]);
  });

  it("is not left by whom an earlier one has failed", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    one.endpoints.leave();
    one.closeStream();
    void one.open();
    two.endpoints.leave();
    expect(told).toEqual(["leave"]);
  });

  it("is left once if its connection was dropped, too", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    for (const each of [one, two]) {
      each.closeStream();
      each.drop();
      each.endpoints.leave();
      each.wait();
    }
    expect([told, made.length]).toEqual([["leave"], 2]);
  });

  it("is called good only by those who use it", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    await settle();
    one.endpoints.settle();
    await two.register();
    two.endpoints.leave(); // its store may be away, while heartbeats are answered
    one.endpoints.settle();
    void two.open();
    two.endpoints.settle();
    expect(told).toEqual(["settle", "leave", "settle"]);
  });

  it("keeps the streams of those whom it serves well when another leaves it", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    await two.register();
    two.endpoints.leave();
    void two.open();
    await settle();
    expect([one.ended, pulse.streams, made.length]).toEqual([[], 2, 1]);
  });

  it("is not left for an update beside a stream, but for that stream", async () => {
    const [one, two] = [session("one"), session("two")];
    void one.open();
    void two.open();
    two.endpoints.leave();
    await one.register(); // at the next endpoint
    one.endpoints.leave(); // since its stream has ended at the former
    expect(told).toEqual(["leave"]);
  });

  it("is nothing to a session that has asked nothing yet", () => {
    const one = session("one");
    one.endpoints.leave();
    one.endpoints.settle();
    expect([told, one.endpoints.others, one.endpoints.current]).toEqual([[], "untried", undefined]);
  });
});
