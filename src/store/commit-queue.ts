import { DomainError } from "../core/errors.js";
import type { Clock } from "../lib/clock.js";
import { StoreDivergedError, StoreUnavailableError } from "./store.js";

/**
 * Group commit: commands that arrive while a transaction runs, and for a moment
 * after it, go together into the next one.
 */
export interface CommitQueue<Command, Outcome> {
  /** Resolves when the command's batch is durable; rejects if it failed, alone or because the queue is full. */
  submit(command: Command): Promise<Outcome>;
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>;
}

export interface CommitQueueOptions<Command, Outcome> {
  /** Carries out a batch, whole or not at all; one outcome for each command, in their order. */
  readonly run: (commands: readonly Command[]) => Promise<readonly Outcome[]>;
  /**
   * How long after a batch the next one gathers at the most, in ms; 0: not at
   * all. A command that comes later than that never waits. A fleet that
   * reconnects comes one connection at a time: without this, each would pay for a
   * transaction of its own.
   */
  readonly gatherMs: number;
  readonly clock: Clock;
  /** Commands of one batch; 256. It bounds how long one transaction takes. */
  readonly maxBatch?: number;
  /** Commands that may wait; 10,000. */
  readonly maxWaiting?: number;
}

const DEFAULT_MAX_BATCH = 256;
const DEFAULT_MAX_WAITING = 10_000;
/** When to try again after the queue was full, in ms. */
const FULL_RETRY_AFTER_MS = 1_000;

interface Waiting<Command, Outcome> {
  readonly command: Command;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

export function createCommitQueue<Command, Outcome>(
  options: CommitQueueOptions<Command, Outcome>,
): CommitQueue<Command, Outcome> {
  const { run, gatherMs, clock } = options;
  const { maxBatch = DEFAULT_MAX_BATCH, maxWaiting = DEFAULT_MAX_WAITING } = options;
  let waiting: Waiting<Command, Outcome>[] = [];
  let lastEndedAt = Number.NEGATIVE_INFINITY;
  let onFull = () => {};
  let draining: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      // What arrives in the same turn of the event loop shares a transaction.
      await new Promise(setImmediate);
      await gather();
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      await settle(batch);
      lastEndedAt = clock.now();
    }
    draining = undefined;
  }

  /** Resolves once the pause after the last batch is over, or a batch is full. */
  async function gather(): Promise<void> {
    const pauseMs = lastEndedAt + gatherMs - clock.now();
    if (pauseMs <= 0 || waiting.length >= maxBatch) return;
    await new Promise<void>((resolve) => {
      // What waits must not get lost because nothing else keeps the process alive.
      const timer = clock.setTimer(pauseMs, resolve, { holdsProcess: true });
      onFull = () => {
        timer.cancel();
        resolve();
      };
    });
    onFull = () => {};
  }

  async function settle(batch: readonly Waiting<Command, Outcome>[]): Promise<void> {
    try {
      const outcomes = await run(batch.map(({ command }) => command));
      batch.forEach(({ resolve }, i) => void resolve(outcomes[i] as Outcome));
    } catch (error) {
      if (isStoreAtFault(error)) return rejectWith(batch, error);
      if (batch.length === 1) return rejectAll(batch, error);
      await replay(batch);
    }
  }

  /** One by one, so that what made the batch fail fails alone. */
  async function replay(batch: readonly Waiting<Command, Outcome>[]): Promise<void> {
    for (const [i, { command, resolve, reject }] of batch.entries()) {
      try {
        const [outcome] = await run([command]);
        resolve(outcome as Outcome);
      } catch (error) {
        if (isStoreAtFault(error)) return rejectWith(batch.slice(i), error);
        reject(error);
      }
    }
  }

  /** And all that wait: to find out once more that the store is away may take them seconds. */
  function rejectWith(batch: readonly Waiting<Command, Outcome>[], error: unknown): void {
    rejectAll(batch, error);
    if (error instanceof StoreUnavailableError && error.isOutcomeUnknown) return; // not theirs
    rejectAll(waiting, error);
    waiting = [];
  }

  return {
    submit(command) {
      if (waiting.length >= maxWaiting) return Promise.reject(fullError());
      return new Promise((resolve, reject) => {
        waiting.push({ command, resolve, reject });
        if (waiting.length >= maxBatch) onFull();
        draining ??= drain();
      });
    },
    idle: () => draining ?? Promise.resolve(),
  };
}

function rejectAll(
  batch: readonly { readonly reject: (error: unknown) => void }[],
  error: unknown,
): void {
  for (const { reject } of batch) reject(error);
}

/** Then each command would fail as the first did, and trying them all would only add to the load. */
function isStoreAtFault(error: unknown): boolean {
  return error instanceof StoreUnavailableError || error instanceof StoreDivergedError;
}

function fullError(): DomainError {
  return new DomainError("too many changes wait to be written; try again later", {
    kind: "quota",
    reason: "COMMIT_QUEUE_FULL",
    retryAfterMs: FULL_RETRY_AFTER_MS,
  });
}
