import { describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { type CommitQueueOptions, createCommitQueue } from "../../src/store/commit-queue.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { ManualClock, settle } from "../support/manual-clock.js";

/** A queue whose batches are recorded, and can be held until they are let go. */
function recordedQueue(options: Partial<CommitQueueOptions<string, string>> = {}) {
  const batches: string[][] = [];
  let gate: Promise<void> | undefined;
  const queue = createCommitQueue<string, string>({
    run: async (commands) => {
      batches.push([...commands]);
      await gate;
      return commands.map((command) => command.toUpperCase());
    },
    clock: new ManualClock(),
    gatherMs: 0,
    ...options,
  });
  return {
    queue,
    batches,
    /** Batches stand still until the returned function is called. */
    hold(): () => void {
      let release = () => {};
      gate = new Promise((resolve) => {
        release = () => {
          gate = undefined;
          resolve();
        };
      });
      return release;
    },
  };
}

/** A run that throws for some commands, as a transaction would: whole or not at all. */
function failingRun(errorFor: (command: string) => Error | undefined) {
  const batches: string[][] = [];
  const run = async (commands: readonly string[]) => {
    batches.push([...commands]);
    for (const command of commands) {
      const error = errorFor(command);
      if (error) throw error;
    }
    return commands.map((command) => command.toUpperCase());
  };
  return { run, batches };
}

async function outcomes(promises: readonly Promise<string>[]): Promise<string[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((result) =>
    result.status === "fulfilled" ? result.value : `failed: ${(result.reason as Error).message}`,
  );
}

describe("commands", () => {
  it("of the same turn share a batch, and each gets its own outcome", async () => {
    const { queue, batches } = recordedQueue();
    const a = queue.submit("a");
    const b = Promise.resolve().then(() => queue.submit("b"));
    expect(await outcomes([a, b, queue.submit("c")])).toEqual(["A", "B", "C"]);
    expect(batches).toEqual([["a", "c", "b"]]);
  });

  it("that arrive while a batch runs form the next", async () => {
    const { queue, batches, hold } = recordedQueue();
    const release = hold();
    const first = queue.submit("a");
    await settle();
    const later = [queue.submit("b"), queue.submit("c")];
    await settle();
    expect(batches).toEqual([["a"]]);
    release();
    await outcomes([first, ...later]);
    expect(batches).toEqual([["a"], ["b", "c"]]);
  });

  it("that arrive soon after a batch gather for the next, and a late one does not wait", async () => {
    const clock = new ManualClock();
    const { queue, batches } = recordedQueue({ clock, gatherMs: 2 });
    await queue.submit("a");
    const soon = [queue.submit("b")];
    await settle();
    soon.push(queue.submit("c"));
    await settle();
    expect(batches).toEqual([["a"]]);
    await clock.advance(2);
    expect(await outcomes(soon)).toEqual(["B", "C"]);
    expect(batches).toEqual([["a"], ["b", "c"]]);
    await clock.advance(2);
    expect(await queue.submit("d")).toBe("D");
  });

  it("that fill a batch do not gather any longer", async () => {
    const clock = new ManualClock();
    const { queue, batches } = recordedQueue({ clock, gatherMs: 2, maxBatch: 2 });
    await queue.submit("a");
    const soon = [queue.submit("b")];
    await settle();
    soon.push(queue.submit("c"));
    expect(await outcomes(soon)).toEqual(["B", "C"]);
    expect(batches).toEqual([["a"], ["b", "c"]]);
  });

  it("beyond the bound of a batch wait for the next, in their order", async () => {
    const { queue, batches } = recordedQueue({ maxBatch: 2 });
    await outcomes(["a", "b", "c", "d", "e"].map((command) => queue.submit(command)));
    expect(batches).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  it("beyond the bound of the queue are refused, and those that wait are not", async () => {
    const { queue, hold } = recordedQueue({ maxWaiting: 2 });
    const release = hold();
    const running = queue.submit("a");
    await settle();
    const waiting = [queue.submit("b"), queue.submit("c")];
    const error = await queue.submit("d").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DomainError);
    expect((error as DomainError).refusal).toEqual({
      kind: "quota",
      reason: "COMMIT_QUEUE_FULL",
      retryAfterMs: 1_000,
    });
    release();
    expect(await outcomes([running, ...waiting])).toEqual(["A", "B", "C"]);
    expect(await queue.submit("e")).toBe("E"); // there is room again
  });
});

describe("a batch that fails", () => {
  it("is replayed one by one, so that the bad command fails alone", async () => {
    const { run, batches } = failingRun((command) =>
      command === "bad" ? new Error("bad one") : undefined,
    );
    const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0 });
    const results = await outcomes(["a", "bad", "b"].map((command) => queue.submit(command)));
    expect(results).toEqual(["A", "failed: bad one", "B"]);
    expect(batches).toEqual([["a", "bad", "b"], ["a"], ["bad"], ["b"]]);
    expect(await queue.submit("c")).toBe("C");
  });

  it("of one command is not tried again", async () => {
    const { run, batches } = failingRun(() => new Error("no"));
    const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0 });
    expect(await outcomes([queue.submit("a")])).toEqual(["failed: no"]);
    expect(batches).toHaveLength(1);
  });

  it.each([new StoreUnavailableError("down"), new StoreDivergedError("diverged")])(
    "for a reason of the store (%s) fails whole, without a replay",
    async (error) => {
      const { run, batches } = failingRun(() => error);
      const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0 });
      const results = await Promise.allSettled(["a", "b", "c"].map((c) => queue.submit(c)));
      expect(results).toEqual(results.map(() => ({ status: "rejected", reason: error })));
      expect(batches).toHaveLength(1);
    },
  );

  it("stops its replay when the store goes down in it", async () => {
    let isDown = false;
    const { run, batches } = failingRun((command) => {
      if (isDown) return new StoreUnavailableError("down");
      if (command !== "bad") return undefined;
      isDown = batches.length > 1;
      return new Error("bad one");
    });
    const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0 });
    const results = await outcomes(["a", "bad", "b", "c", "d"].map((c) => queue.submit(c)));
    expect(results).toEqual([
      "A",
      "failed: bad one",
      "failed: down",
      "failed: down",
      "failed: down",
    ]);
    expect(batches.slice(1)).toEqual([["a"], ["bad"], ["b"]]);
  });

  it.each([
    [false, ["failed: down", "failed: down", "failed: down"]],
    [true, ["failed: down", "B", "C"]], // what came of the first says nothing of those
  ])(
    "since the store is down fails those that wait, too, unless its outcome is unknown (%s)",
    async (isOutcomeUnknown, expected) => {
      const { run } = failingRun((command) =>
        command === "a" ? new StoreUnavailableError("down", { isOutcomeUnknown }) : undefined,
      );
      const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0, maxBatch: 1 });
      expect(await outcomes(["a", "b", "c"].map((c) => queue.submit(c)))).toEqual(expected);
    },
  );

  it("does not hold up those that come after it", async () => {
    let isDown = true;
    const { run } = failingRun(() => (isDown ? new StoreUnavailableError("down") : undefined));
    const queue = createCommitQueue({ run, clock: new ManualClock(), gatherMs: 0 });
    await outcomes([queue.submit("a")]);
    isDown = false;
    expect(await queue.submit("b")).toBe("B");
  });
});

describe("idle", () => {
  it("resolves at once where nothing waits", async () => {
    await recordedQueue().queue.idle();
  });

  it("resolves after all that was submitted, also meanwhile", async () => {
    const { queue, hold } = recordedQueue();
    const release = hold();
    const done: string[] = [];
    const submit = (command: string) => void queue.submit(command).then((o) => done.push(o));
    submit("a");
    await settle();
    submit("b");
    const idle = queue.idle().then(() => done.push("idle"));
    await settle();
    expect(done).toEqual([]);
    submit("c");
    release();
    await idle;
    expect(done).toEqual(["A", "B", "C", "idle"]);
  });
});
