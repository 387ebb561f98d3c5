import { type AppliedChange, Catalog } from "../core/catalog.js";
import type { Commit } from "../core/change.js";
import type { Command, Decision } from "../core/decision.js";
import { DomainError } from "../core/errors.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Random, randomSecret } from "../lib/random.js";
import { createCommitQueue } from "../store/commit-queue.js";
import {
  type Store,
  StoreDivergedError,
  type StoredRegistry,
  StoreUnavailableError,
} from "../store/store.js";

/** How long a caller should wait before it tries a store again that is down. */
const STORE_RETRY_AFTER_MS = 2_000;
const SECRET_BYTES = 16;
const DEFAULT_GATHER_MS = 2;

export interface RegistryOptions {
  readonly store: Store;
  readonly stored: StoredRegistry;
  readonly clock: Clock;
  readonly random: Random;
  /** Registry time in ms. */
  readonly registryNow: () => number;
  readonly log: Log;
  /** See CommitQueueOptions; 2. */
  readonly gatherMs?: number;
}

/**
 * Decides, commits, applies: the one way in which anything durable changes.
 * Commands that wait together are decided one after the other on a draft, in
 * which each sees those before it, and committed in one transaction; the catalog
 * that readers see changes only after that.
 */
export interface Registry {
  readonly epoch: string;
  /** The committed state. */
  readonly catalog: Catalog;
  /**
   * Resolves once the command's commit is durable and applied.
   * @throws DomainError: the command refused, the store is down, or too many wait.
   */
  run<Outcome>(command: Command<Outcome>): Promise<Outcome>;
  /** Resolves if someone else wrote to the store: from then on every command fails. */
  readonly diverged: Promise<StoreDivergedError>;
  /** Called after each commit is applied, in revision order. What it throws is logged: the commit stands. */
  onCommit(listener: CommitListener): void;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

export type CommitListener = (commit: Commit, changes: readonly AppliedChange[]) => void;

type Settled =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

export function createRegistry(options: RegistryOptions): Registry {
  const { store, stored, clock, random, log } = options;
  const catalog = Catalog.load(stored);
  const listeners: CommitListener[] = [];

  let tellDiverged: (error: StoreDivergedError) => void = () => {};
  const diverged = new Promise<StoreDivergedError>((resolve) => {
    tellDiverged = resolve;
  });

  const queue = createCommitQueue<Command<unknown>, Settled>({
    run: runBatch,
    clock,
    gatherMs: options.gatherMs ?? DEFAULT_GATHER_MS,
  });

  async function runBatch(commands: readonly Command<unknown>[]): Promise<readonly Settled[]> {
    const draft = catalog.draft();
    const commits: Commit[] = [];
    const outcomes = commands.map((command) => decide(command, draft, commits));
    if (commits.length === 0) return outcomes;
    await store.commit(commits, catalog.revision);
    for (const commit of commits) {
      const changes = catalog.apply(commit);
      for (const listener of listeners) tell(listener, commit, changes);
    }
    return outcomes;
  }

  function tell(listener: CommitListener, commit: Commit, changes: readonly AppliedChange[]): void {
    try {
      listener(commit, changes);
    } catch (error) {
      log.error({ err: error, revision: String(commit.revision) }, "registry.listener_failed");
    }
  }

  function throwAsRefusal(error: unknown): never {
    if (error instanceof StoreDivergedError) tellDiverged(error);
    else if (!(error instanceof StoreUnavailableError)) throw error;
    throw new DomainError(
      "the registry's database cannot be used just now; nothing was changed",
      { kind: "store-unavailable", retryAfterMs: STORE_RETRY_AFTER_MS },
      { cause: error },
    );
  }

  /** A refusal, or a bug, concerns its own command and no other of the batch. */
  function decide(command: Command<unknown>, draft: Catalog, commits: Commit[]): Settled {
    try {
      const decision: Decision<unknown> = command({
        catalog: draft,
        revision: draft.revision + 1n,
        at: clock.wallNow(),
        registryNow: options.registryNow(),
        newId: () => random.uuid(),
        newSecret: () => randomSecret(random, SECRET_BYTES),
      });
      if (decision.commit) {
        const commit = { ...decision.commit, stamp: randomSecret(random, 9) };
        draft.apply(commit);
        commits.push(commit);
      }
      return { ok: true, value: decision.outcome };
    } catch (error) {
      return { ok: false, error };
    }
  }

  return {
    epoch: stored.epoch,
    catalog,
    async run<Outcome>(command: Command<Outcome>) {
      const settled = await queue.submit(command).catch(throwAsRefusal);
      if (!settled.ok) throw settled.error;
      return settled.value as Outcome;
    },
    diverged,
    onCommit: (listener) => void listeners.push(listener),
    idle: () => queue.idle(),
  };
}
