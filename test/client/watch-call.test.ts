import { beforeEach, describe, expect, it } from "vitest";
import { createMessageQueue, type MessageQueue } from "../../src/client/message-queue.js";
import { SilenceError, WatchCall } from "../../src/client/watch-call.js";
import { ManualClock, settle } from "../support/manual-clock.js";

let clock: ManualClock;
let watch: AbortController;
let responses: MessageQueue<string>;
let signal: AbortSignal | undefined;
let call: WatchCall<string>;
beforeEach(() => {
  clock = new ManualClock();
  watch = new AbortController();
  responses = createMessageQueue();
  signal = undefined;
  call = new WatchCall(
    (given) => {
      signal = given;
      return responses;
    },
    clock,
    watch.signal,
  );
});

/** What `next` came to, or `waits`. */
function asked(patienceMs: number) {
  let result = "waits";
  call.next(patienceMs).then(
    (response) => {
      result = response ?? "over";
    },
    (error: Error) => {
      result = error.name;
    },
  );
  return async (ms = 0) => {
    await clock.advance(ms);
    return result;
  };
}

describe("a response", () => {
  it("is waited for as long as patience lasts, and no timer is left", async () => {
    const result = asked(10_000);
    expect(await result(9_999)).toBe("waits");
    responses.push("a");
    expect(await result()).toBe("a");
    expect(clock.pending).toBe(0);
  });

  it("that does not come in time is silence", async () => {
    const result = asked(10_000);
    expect(await result(9_999)).toBe("waits");
    expect(await result(1)).toBe("SilenceError");
    expect(new SilenceError()).toBeInstanceOf(Error);
  });

  it("may still come for 2 s when the process stood still: it has not been read yet", async () => {
    const result = asked(10_000);
    clock.stall(60_000);
    expect(await result(1)).toBe("waits");
    responses.push("a");
    expect(await result()).toBe("a");
    expect(clock.pending).toBe(0);
  });

  it("that does not come after that either is silence", async () => {
    const result = asked(10_000);
    clock.stall(60_000);
    expect(await result(1_999)).toBe("waits");
    expect(await result(1)).toBe("SilenceError");
  });

  it("that is a little late by a busy process is silence as it was", async () => {
    const result = asked(10_000);
    clock.stall(10_999);
    expect(await result()).toBe("SilenceError");
  });
});

describe("the end", () => {
  it("of the stream is the end of the call", async () => {
    const result = asked(10_000);
    responses.end();
    expect(await result()).toBe("over");
    expect(clock.pending).toBe(0);
  });

  it.each(["call", "watch"] as const)("of the %s cancels, and ends a wait", async (whose) => {
    const result = asked(10_000);
    await settle();
    expect(signal?.aborted).toBe(false);
    if (whose === "call") call.end();
    else watch.abort();
    expect(await result()).toBe("over");
    expect([signal?.aborted, clock.pending]).toEqual([true, 0]);
    expect(await asked(10_000)()).toBe("over");
  });

  it("before the first response opens nothing", async () => {
    call.end();
    expect(await asked(10_000)()).toBe("over");
    expect(signal).toBeUndefined();
  });
});

it("that cannot be opened fails as one whose stream fails", async () => {
  for (const open of [
    () => {
      throw new TypeError("no such host");
    },
    async function* () {
      yield* [];
      throw new TypeError("broken");
    },
  ]) {
    call = new WatchCall(open, clock, watch.signal);
    expect(await asked(10_000)()).toBe("TypeError");
    call.end();
    expect(clock.pending).toBe(0);
  }
});
