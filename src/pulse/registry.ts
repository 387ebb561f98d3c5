import { type Actor, auditOf } from "../core/audit.js";
import { type AppliedChange, Catalog } from "../core/catalog.js";
import type { Commit } from "../core/change.js";
import type { Command, Decision } from "../core/decision.js";
import { DomainError } from "../core/errors.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Random, randomSecret } from "../lib/random.js";
import { stableId } from "../lib/stable-id.js";
import { createCommitQueue } from "../store/commit-queue.js";
import {
  type News,
  type Store,
  StoreDivergedError,
  type StoredRegistry,
  StoreUnavailableError,
} from "../store/store.js";
import { shareRuns } from "./shared-run.js";
import { DRAIN_RETRY_AFTER_MS, drainingError, storeUnavailable } from "./status.js";

const SECRET_BYTES = 16;
const DEFAULT_GATHER_MS = 2;
/** A batch that met a broken connection, or a history that it must load anew, is tried once more. */
const MAX_ATTEMPTS = 2;
/** But not one that has waited for longer, in ms: that is no connection of before a restart. */
const RETRY_WITHIN_MS = 1_000;

export interface RegistryOptions {
  readonly store: Store;
  readonly stored: StoredRegistry;
  readonly clock: Clock;
  readonly random: Random;
  /** Registry time in ms. */
  readonly registryNow: () => number;
  /** Set if registry time is kept elsewhere: nothing is decided by one that is not fresh. */
  readonly sharedTime?: SharedTime | undefined;
  readonly log: Log;
  /** See CommitQueueOptions; 2. */
  readonly gatherMs?: number;
  /** How much of the history to load if all is loaded anew; see Store.load. */
  readonly maxHistory?: number;
}

/** Registry time that nodes share. */
export interface SharedTime {
  /** It was heard of a moment ago, and goes on here since. */
  readonly isFresh: boolean;
  /** Hears of it. @throws StoreUnavailableError */
  hear(): Promise<void>;
}

/**
 * Decides, commits, applies: the one way in which anything durable changes.
 * Commands that wait together are decided one after the other on a draft, in
 * which each sees those before it, and committed in one transaction; the catalog
 * that readers see changes only after that. What other nodes commit to a shared
 * store is applied in the same way and order.
 */
export interface Registry {
  readonly epoch: string;
  /** The committed state. */
  readonly catalog: Catalog;
  /**
   * Resolves once the command's commit is durable and applied.
   * @param holdingOf the service whose holding the command asks for
   * @param actor who asked for it, for the audit log; undefined: Pulse itself
   * @throws DomainError: the command refused, the store is down, too many wait, or Pulse stops.
   */
  run<Outcome>(command: Command<Outcome>, holdingOf?: string, actor?: Actor): Promise<Outcome>;
  /**
   * Resolves once all is applied that anybody had committed when it was called.
   * At once if nobody but this Pulse commits.
   * @throws DomainError if the store is down.
   */
  refresh(): Promise<void>;
  /** Refreshes if that is possible. Resolves to whether the catalog may be behind. */
  freshen(): Promise<boolean>;
  /** The store that others write to could not be reached when it was last asked. */
  readonly isStale: boolean;
  /** Resolves if this history cannot be gone on with: from then on every command fails. */
  readonly diverged: Promise<StoreDivergedError>;
  /** Called after each commit is applied, in revision order. What it throws is logged: the commit stands. */
  onCommit(listener: CommitListener): void;
  /** Called when all was loaded anew, since what happened in between is not known. */
  onReload(listener: ReloadListener): void;
  /**
   * Refuses every command from now on: one that began before Pulse stopped may come
   * when there is no store any more. Resolves when none waits.
   */
  stop(): Promise<void>;
}

export type CommitListener = (commit: Commit, changes: readonly AppliedChange[]) => void;
export type ReloadListener = (stored: StoredRegistry) => void;

interface Asked {
  readonly command: Command<unknown>;
  readonly holdingOf: string | undefined;
  readonly actor: Actor | undefined;
}

type Settled =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

export function createRegistry(options: RegistryOptions): Registry {
  const { store, stored, clock, random, sharedTime, log } = options;
  const catalog = Catalog.load(stored);
  const commitListeners: CommitListener[] = [];
  const reloadListeners: ReloadListener[] = [];
  let isStale = false;
  let isStopped = false;

  let tellDiverged: (error: StoreDivergedError) => void = () => {};
  const diverged = new Promise<StoreDivergedError>((resolve) => {
    tellDiverged = resolve;
  });

  const queue = createCommitQueue<Asked, Settled>({
    run: runBatch,
    clock,
    gatherMs: options.gatherMs ?? DEFAULT_GATHER_MS,
  });

  async function runBatch(batch: readonly Asked[]): Promise<readonly Settled[]> {
    for (let attempt = 1; ; attempt++) {
      const startedAt = clock.now();
      try {
        return await commitBatch(batch);
      } catch (error) {
        const isLate = clock.now() - startedAt > RETRY_WITHIN_MS;
        if (!store.shared || attempt >= MAX_ATTEMPTS) throw error;
        if (error instanceof StoreDivergedError) await reload();
        else if (!(error instanceof StoreUnavailableError) || error.isOutcomeUnknown || isLate)
          throw error;
      }
    }
  }

  async function commitBatch(batch: readonly Asked[]): Promise<readonly Settled[]> {
    let commits: Commit[] = [];
    let outcomes: readonly Settled[] = [];
    if (sharedTime && !sharedTime.isFresh) await sharedTime.hear();
    await store.commit({
      known: () => ({ revision: catalog.revision, stamp: catalog.stamp }),
      holdingsOf: batch.flatMap(({ holdingOf }) => holdingOf ?? []),
      decide(news) {
        applyAll(news.missed); // durable, whatever becomes of this transaction
        if (sharedTime && !sharedTime.isFresh)
          throw new StoreUnavailableError("this Pulse stood still before it could decide");
        const draft = catalog.draft();
        commits = [];
        outcomes = batch.map((asked) => decide(asked, draft, news, commits));
        return commits;
      },
    });
    applyAll(commits);
    return outcomes;
  }

  /** Commits may come twice, from their own transaction and from the store: they count once. */
  function applyAll(commits: readonly Commit[]): void {
    for (const commit of commits) {
      if (commit.revision <= catalog.revision) continue;
      const changes = catalog.apply(commit);
      for (const listener of commitListeners)
        tell(String(commit.revision), () => listener(commit, changes));
    }
  }

  function tell(revision: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      log.error({ err: error, revision }, "registry.listener_failed");
    }
  }

  const refresh = shareRuns(async () => {
    try {
      await follow().catch(async (error: unknown) => {
        if (!(error instanceof StoreDivergedError)) throw error;
        await reload();
      });
      isStale = false;
    } catch (error) {
      isStale = true;
      throwAsRefusal(error);
    }
  });

  async function freshen(): Promise<boolean> {
    // Who follows the store asks all the time: nobody else need wait for it in vain.
    if (!isStale) await refresh().catch(throwUnlessAway);
    return isStale;
  }

  async function follow(): Promise<void> {
    if (!store.shared) return;
    for (;;) {
      const { revision, stamp } = catalog;
      const news = await store.shared.since({ revision, stamp });
      applyAll(news.commits);
      if (catalog.revision >= news.revision) return;
    }
  }

  /** In turn: an older state must not take the place of a newer one. */
  const reload = shareRuns(async () => {
    const loaded = await store.load(options.maxHistory);
    if (loaded.epoch !== stored.epoch)
      throw new StoreDivergedError(`the store holds another registry, of epoch ${loaded.epoch}`);
    const revision = String(loaded.revision);
    log.warn({ revision, from: String(catalog.revision) }, "registry.reloaded");
    catalog.replace(loaded);
    for (const listener of reloadListeners) tell(revision, () => listener(loaded));
  });

  function throwAsRefusal(error: unknown): never {
    if (error instanceof StoreDivergedError) tellDiverged(error);
    else if (!(error instanceof StoreUnavailableError)) throw error;
    throw storeUnavailable(error);
  }

  function throwUnlessAway(error: unknown): void {
    const isAway = error instanceof DomainError && error.refusal.kind === "store-unavailable";
    if (!isAway) throw error;
  }

  /** A refusal, or a bug, concerns its own command and no other of the batch. */
  function decide(
    { command, actor }: Asked,
    draft: Catalog,
    { holdings }: News,
    commits: Commit[],
  ): Settled {
    try {
      const decision: Decision<unknown> = command({
        catalog: draft,
        revision: draft.revision + 1n,
        at: clock.wallNow(),
        registryNow: options.registryNow(),
        holdingOf: (serviceId) => holdings.get(serviceId),
        newId: () => random.uuid(),
        stableId,
        newSecret: () => randomSecret(random, SECRET_BYTES),
      });
      if (decision.commit) {
        const stamp = randomSecret(random, 9);
        const audit = actor ? auditOf(decision.commit, actor, draft) : [];
        const commit = { ...decision.commit, stamp, audit };
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
    async run<Outcome>(command: Command<Outcome>, holdingOf?: string, actor?: Actor) {
      if (isStopped) throw drainingError(DRAIN_RETRY_AFTER_MS);
      const settled = await queue.submit({ command, holdingOf, actor }).catch(throwAsRefusal);
      if (!settled.ok) throw settled.error;
      return settled.value as Outcome;
    },
    refresh: () => (store.shared ? refresh() : Promise.resolve()),
    freshen: () => (store.shared ? freshen() : Promise.resolve(false)),
    get isStale() {
      return isStale;
    },
    diverged,
    onCommit: (listener) => void commitListeners.push(listener),
    onReload: (listener) => void reloadListeners.push(listener),
    stop() {
      isStopped = true;
      return queue.idle();
    },
  };
}
