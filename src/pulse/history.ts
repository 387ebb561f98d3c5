import type { AppliedChange } from "../core/catalog.js";
import type { Change, CommitSummary } from "../core/change.js";
import {
  type EntryTraits,
  type ServiceTraits,
  traitsOfEntry,
  traitsOfService,
} from "../core/filter.js";
import type { ResumePoint } from "./resume-token.js";

/** How much of the past is kept: what exceeds either bound is compacted. */
export interface HistoryPolicy {
  /** Commits. */
  readonly maxCommits: number;
  readonly maxAgeMs: number;
}

export const DEFAULT_HISTORY_POLICY: HistoryPolicy = {
  maxCommits: 10_000,
  maxAgeMs: 24 * 3_600_000,
};

/**
 * What filters would have looked at before a change: `undefined` if there was
 * nothing to see, UNKNOWN if the change is of an earlier run of Pulse.
 */
export type TraitsBefore = ServiceTraits | EntryTraits | undefined | typeof UNKNOWN;
export const UNKNOWN = Symbol("unknown");

interface PastCommit extends CommitSummary {
  /** One for each change. */
  readonly before: readonly TraitsBefore[] | typeof UNKNOWN;
}

/** One change of the past. */
export interface PastChange {
  readonly commit: CommitSummary;
  readonly change: Change;
  readonly before: TraitsBefore;
}

/** Where a resume token stands in this history. */
export type Place = "known" | "compacted" | "future" | "other-history";

export interface HistoryStart {
  readonly epoch: string;
  /** Revision and stamp of the newest commit. */
  readonly revision: bigint;
  readonly stamp: string;
  /** The newest commits, in order and without a gap. */
  readonly history: readonly CommitSummary[];
}

/** The newest commits of a registry, in memory: what watchers resume from and timelines are made of. */
export class History {
  readonly #epoch: string;
  readonly #policy: HistoryPolicy;
  #commits: PastCommit[] = [];
  #newest: { readonly revision: bigint; readonly stamp: string };

  constructor(start: HistoryStart, policy: HistoryPolicy) {
    this.#epoch = start.epoch;
    this.#policy = policy;
    this.#newest = start;
    this.restart(start);
  }

  /** Forgets all and begins anew with this, which is of the same epoch. */
  restart({ revision, stamp, history }: HistoryStart): void {
    this.#newest = { revision, stamp };
    this.#commits = history.map((commit) => ({ ...commit, before: UNKNOWN }));
  }

  /** The newest commit. */
  get point(): ResumePoint {
    const { revision, stamp } = this.#newest;
    return { epoch: this.#epoch, revision, stamp };
  }

  /** Everything after this revision is here. */
  get compactedRevision(): bigint {
    return this.#newest.revision - BigInt(this.#commits.length);
  }

  append({ revision, stamp, at, reason }: CommitSummary, changes: readonly AppliedChange[]): void {
    this.#newest = { revision, stamp };
    this.#commits.push({
      revision,
      stamp,
      at,
      reason,
      changes: changes.map(({ change }) => change),
      before: changes.map(traitsBefore),
    });
  }

  placeOf(point: ResumePoint): Place {
    if (point.epoch !== this.#epoch) return "other-history";
    if (point.revision > this.#newest.revision) return "future";
    const stamp =
      point.revision === this.#newest.revision
        ? this.#newest.stamp
        : (this.#commits[this.#indexOf(point.revision)]?.stamp ??
          (point.revision === 0n && this.compactedRevision === 0n ? "" : undefined));
    // The stamp of the commit just before the first that is here is not known: nor is the point.
    if (stamp === undefined) return "compacted";
    return stamp === point.stamp ? "known" : "other-history";
  }

  /** The changes after a revision that is not compacted, oldest first. */
  *since(revision: bigint): Iterable<PastChange> {
    for (let i = this.#indexOf(revision) + 1; i < this.#commits.length; i++)
      yield* changesOf(this.#commits[i] as PastCommit);
  }

  /** The changes of these subjects, oldest first. */
  *of(subjectIds: readonly string[]): Iterable<PastChange> {
    for (const commit of this.#commits)
      for (const past of changesOf(commit))
        if (subjectIds.includes(past.change.subjectId)) yield past;
  }

  /**
   * Drops what is too old or too much.
   * @param at wall-clock ms
   * @returns the revision up to which nothing is kept any more, or undefined if nothing was dropped.
   */
  prune(at: number): bigint | undefined {
    const { maxCommits, maxAgeMs } = this.#policy;
    let drop = Math.max(0, this.#commits.length - maxCommits);
    while (drop < this.#commits.length && (this.#commits[drop]?.at ?? at) < at - maxAgeMs) drop++;
    if (drop === 0) return undefined;
    this.#commits = this.#commits.slice(drop);
    return this.compactedRevision;
  }

  /** Far more is kept than should be: it should be pruned before its time. */
  get isOverfull(): boolean {
    return this.#commits.length > this.#policy.maxCommits * 1.1 + 100;
  }

  /** Revisions have no gap, so a commit's place follows from its revision. */
  #indexOf(revision: bigint): number {
    return Number(revision - this.compactedRevision) - 1;
  }
}

function* changesOf(commit: PastCommit): Iterable<PastChange> {
  const { before, changes } = commit;
  for (const [i, change] of changes.entries())
    yield { commit, change, before: before === UNKNOWN ? UNKNOWN : before[i] };
}

/** Not the record itself: a credential that was replaced should not stay in memory. */
function traitsBefore(applied: AppliedChange): TraitsBefore {
  if (!applied.before) return undefined;
  switch (applied.subject) {
    case "service":
      return traitsOfService(applied.before);
    case "download-client":
      return traitsOfEntry(applied.before);
    case "token":
      return undefined;
  }
}
