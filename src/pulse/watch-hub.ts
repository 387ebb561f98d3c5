import type { AppliedChange } from "../core/catalog.js";
import type { Commit } from "../core/change.js";
import { DomainError } from "../core/errors.js";
import type { Log } from "../lib/log.js";
import type { History, PastChange } from "./history.js";
import { UNKNOWN } from "./history.js";
import { readResumeToken, writeResumeToken } from "./resume-token.js";
import { storeUnavailable } from "./status.js";
import type { WatchTopic } from "./watch-topic.js";
import { type Point, type ViewChange, WatchView } from "./watch-view.js";
import { Watcher, type WatcherLimits } from "./watcher.js";

export interface WatchPolicy extends WatcherLimits {
  /** A watcher hears something at least so often. */
  readonly bookmarkIntervalMs: number;
  /** Who takes nothing of what waits for so long is cut off. */
  readonly stallMs: number;
  /** Watchers at a time, of one hub. */
  readonly maxWatchers: number;
}

export const DEFAULT_WATCH_POLICY: WatchPolicy = {
  bookmarkIntervalMs: 5_000,
  stallMs: 30_000,
  maxWatchers: 10_000,
  // What waits is shared by all who wait for it, so much may: a fleet that comes back
  // makes thousands of changes in a moment, and a stream sends one in a turn of the loop.
  maxWaiting: 10_000,
  maxWaitingSize: 16 * 1_024 * 1_024,
};

const FULL_RETRY_AFTER_MS = 5_000;

/** In so many ticks each watcher has its turn: ten thousand in one would stop all else for a second. */
export const TICKS_PER_INTERVAL = 20;

/** What somebody wants to watch. */
export interface WatchRequest<Traits, Response = unknown> {
  readonly matches: (traits: Traits) => boolean;
  readonly withCredentials: boolean;
  /** The same text for the same filter: its watchers share what is sent. */
  readonly filterKey: string;
  /** Empty: begin with a snapshot. */
  readonly resumeToken: string;
  /** Of the caller's bearer token. */
  readonly tokenId: string;
  /** Called with each response as the watcher takes it. */
  readonly onSend?: ((response: Response) => void) | undefined;
}

export interface WatchHubOptions<Item extends object, Traits, Response> {
  readonly topic: WatchTopic<Item, Traits, Response>;
  readonly history: History;
  readonly policy: WatchPolicy;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Whether there may be commits that the history does not have yet. */
  readonly isStale: () => boolean;
  readonly log: Log;
}

/** All watchers of one topic. Whoever is slow, or gone, costs the others nothing. */
export class WatchHub<Item extends object, Traits, Response> {
  readonly #options: WatchHubOptions<Item, Traits, Response>;
  readonly #views = new Map<string, WatchView<Item, Traits, Response>>();
  /** The watchers of each tick. */
  readonly #turns = Array.from({ length: TICKS_PER_INTERVAL }, () => new Set<Watcher<Response>>());
  #size = 0;
  /** Watches so far. */
  #opened = 0;
  #ticks = 0;

  constructor(options: WatchHubOptions<Item, Traits, Response>) {
    this.#options = options;
  }

  /** Open watches. */
  get size(): number {
    return this.#size;
  }

  /** @throws DomainError: the resume token is none, or there are too many watchers. */
  watch(request: WatchRequest<Traits, Response>): Watcher<Response> {
    const { topic, policy, now, log } = this.#options;
    const from = request.resumeToken === "" ? undefined : readResumeToken(request.resumeToken);
    if (this.#size >= policy.maxWatchers)
      throw new DomainError(`this Pulse serves at most ${policy.maxWatchers} watchers`, {
        kind: "quota",
        reason: "TOO_MANY_WATCHERS",
        retryAfterMs: FULL_RETRY_AFTER_MS,
      });
    const place = from ? this.#options.history.placeOf(from) : "first";
    // Others have told this watcher of it: a snapshot from here would take that back.
    if (place === "future" && this.#options.isStale()) throw storeUnavailable();
    const key = `${request.withCredentials} ${request.filterKey}`;
    const view = this.#views.get(key) ?? this.#newView(request);
    const point = this.#point();
    const opening =
      from && place === "known"
        ? view.catchUp(() => this.#missed(from.revision, view), request.resumeToken, point)
        : view.snapshot(place === "known" ? "first" : place, point);
    const turn = this.#turnOf(this.#opened++);
    const watcher = new Watcher<Response>({
      opening,
      token: point.token,
      tokenId: request.tokenId,
      limits: policy,
      now,
      onSend: request.onSend,
      onClose: (closed, error) => {
        if (isLagging(error))
          log.warn({ topic: topic.subject, tokenId: closed.tokenId }, "watch.lagging");
        this.#size--;
        turn.delete(closed);
        view.watchers.delete(closed);
        if (view.watchers.size === 0 && this.#views.get(key) === view) this.#views.delete(key);
      },
    });
    this.#size++;
    turn.add(watcher);
    view.watchers.add(watcher);
    this.#views.set(key, view); // not before: nobody would end a view without watchers
    return watcher;
  }

  /**
   * To be called for each commit, once the history has it. Never throws: watchers
   * that cannot be told of it are ended, since a gap would be worse than a resume.
   */
  publish(commit: Commit, changes: readonly AppliedChange[]): void {
    const { topic } = this.#options;
    const own = changes.filter(({ subject }) => subject === topic.subject);
    if (own.length === 0 || this.#views.size === 0) return;
    const point = this.#point();
    for (const view of this.#views.values()) {
      try {
        view.publish(
          own.map(({ change, before, after }) => ({
            commit,
            id: change.subjectId,
            // The subject says so.
            before: view.pick(before as Item | undefined),
            after: view.pick(after as Item | undefined),
          })),
          point,
        );
      } catch (error) {
        for (const watcher of view.watchers) watcher.end(error);
      }
    }
  }

  /** To be called `TICKS_PER_INTERVAL` times in every `bookmarkIntervalMs`. */
  tick(): void {
    const count = this.#ticks++;
    if (count % TICKS_PER_INTERVAL === 0)
      for (const view of this.#views.values()) view.forgetOpenings();
    const watchers = this.#turnOf(count);
    if (watchers.size === 0) return;
    const point = this.#point();
    const bookmark = this.#options.topic.bookmark(point);
    for (const watcher of watchers) {
      watcher.endIfStalled(this.#options.policy.stallMs);
      watcher.bookmark(bookmark, point.token);
    }
  }

  /** Ends all watches with an error, or those opened with some bearer tokens. */
  end(error: unknown, isOf: (tokenId: string) => boolean = () => true): void {
    for (const watcher of this.#watchers()) if (isOf(watcher.tokenId)) watcher.end(error);
  }

  #turnOf(count: number): Set<Watcher<Response>> {
    return this.#turns[count % TICKS_PER_INTERVAL] as Set<Watcher<Response>>;
  }

  *#watchers(): Iterable<Watcher<Response>> {
    for (const view of this.#views.values()) yield* view.watchers;
  }

  #newView({
    matches,
    withCredentials,
  }: WatchRequest<Traits, Response>): WatchView<Item, Traits, Response> {
    return new WatchView(this.#options.topic, matches, withCredentials);
  }

  #point(): Point {
    const { point } = this.#options.history;
    const stale = this.#options.isStale();
    return { revision: point.revision, token: writeResumeToken(point), stale };
  }

  /**
   * What has changed for a view after a revision: each item once, in the order of its
   * newest change. A watcher that was cut off while its token stood still has seen more
   * than it says: it may have any item that was in the view at any time since.
   */
  #missed(revision: bigint, view: WatchView<Item, Traits, Response>): readonly ViewChange<Item>[] {
    const { topic, history } = this.#options;
    const seen = new Set<string>();
    const last = new Map<string, PastChange>();
    for (const past of history.since(revision)) {
      const { subject, subjectId } = past.change;
      if (subject !== topic.subject) continue;
      if (this.#mayHaveSeen(past, view)) seen.add(subjectId);
      last.delete(subjectId);
      last.set(subjectId, past);
    }
    const missed: ViewChange<Item>[] = [];
    for (const [id, { commit }] of last) {
      const item = topic.find(id);
      const after = view.pick(item);
      if (!after && !seen.has(id)) continue;
      missed.push({ commit, id, before: item, after });
    }
    return missed;
  }

  /** Whether the view may have had the item before this change; after a restart nobody knows. */
  #mayHaveSeen({ before }: PastChange, view: WatchView<Item, Traits, Response>): boolean {
    return before === UNKNOWN || (before !== undefined && view.matches(before as Traits));
  }
}

function isLagging(error: unknown): boolean {
  return error instanceof DomainError && error.refusal.kind === "lagging";
}
