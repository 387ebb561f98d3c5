import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { WatchConnection } from "./clients.js";
import { ConfirmTime } from "./confirm-time.js";
import { CONFIRM_MS } from "./pace.js";
import type { WatchCache } from "./watch-cache.js";
import type { WatchNews } from "./watch-log.js";
import { WatchReader } from "./watch-reader.js";
import { WatchState } from "./watch-state.js";
import {
  DEFAULT_BOOKMARK_INTERVAL_MS,
  type FollowOptions,
  followStream,
  patienceFor,
} from "./watch-stream.js";
import type { Query, Told, Topic } from "./watch-topics.js";
import type { StatusEvent, StreamItem, Watch, WatchEvent, WatchView } from "./watching.js";

export interface ItemWatchOptions<Item, Filter, Response> {
  readonly topic: Topic<Item, Filter, Response>;
  readonly query: Query<Response>;
  /** Makes a connection, without retry. */
  readonly dial: () => WatchConnection;
  /** Where these connections go. */
  readonly endpoints: FollowOptions<Response>["endpoints"];
  readonly cache: WatchCache | undefined;
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly onNews: (news: WatchNews) => void;
}

type Condition =
  | { readonly state: "loading" | "closed"; readonly error: Error | undefined }
  | { readonly state: "live" }
  | { readonly state: "stale"; readonly sinceAt: number; readonly error: Error };

/** A watch at work: puts together the stream, what is known, its file and the readers. */
export class ItemWatch<Item, Filter, Response> implements Watch<Item> {
  readonly #options: ItemWatchOptions<Item, Filter, Response>;
  readonly #known: WatchState<Item>;
  readonly #readers = new Set<WatchReader<Item>>();
  readonly #leaving = new AbortController();
  readonly #onAbort = () => void this.close();
  readonly #ended: Promise<void>;
  #condition: Condition = { state: "loading", error: undefined };
  /** The newest of its kind, for readers to come. */
  #status: StatusEvent | undefined;
  /** There while Pulse has not confirmed all that is shown. */
  #confirming: ConfirmTime | undefined;
  #patienceMs = patienceFor(DEFAULT_BOOKMARK_INTERVAL_MS);
  /** What has been said of the present loss: `away`, `unconfirmed`, or the refusal. */
  #loss: string | undefined;
  #view: WatchView<Item> | undefined;

  constructor(options: ItemWatchOptions<Item, Filter, Response>) {
    this.#options = options;
    this.#known = new WatchState(options.topic);
    const { signal } = options;
    if (signal?.aborted) this.#end(undefined);
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#ended = this.#run();
  }

  current(): WatchView<Item> {
    const { items, revision } = this.#known;
    const view = this.#view ?? { items, revision, ...this.#condition };
    this.#view = view;
    return view;
  }

  [Symbol.asyncIterator](): WatchReader<Item> {
    const { topic, clock } = this.#options;
    const reader = new WatchReader(topic, clock, () => this.#readers.delete(reader));
    if (this.#condition.state === "closed") {
      reader.end(this.#condition.error);
      return reader;
    }
    for (const event of this.#known.introduction()) reader.push(event);
    const { revision } = this.#known;
    if (this.#status)
      reader.push(this.#status.type === "synced" ? { type: "synced", revision } : this.#status);
    this.#readers.add(reader);
    return reader;
  }

  close(): Promise<void> {
    this.#end(undefined);
    return this.#ended;
  }

  async #run(): Promise<void> {
    const { topic, query, dial, endpoints, clock, random, cache, signal } = this.#options;
    try {
      if (cache) await this.#restore(cache);
      const items = followStream({
        dial,
        endpoints,
        query,
        clock,
        random,
        read: (response) => topic.read(response),
        resumeToken: this.#known.resumeToken,
        signal: this.#leaving.signal,
      });
      for await (const item of items) {
        if (this.#condition.state === "closed") break;
        if (item.type === "response") this.#learn(item.response);
        else this.#lose(item);
      }
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
    await cache?.close();
    signal?.removeEventListener("abort", this.#onAbort);
  }

  async #restore(cache: WatchCache): Promise<void> {
    const { topic, clock } = this.#options;
    const { signal } = this.#leaving;
    const snapshot = await cache.read((bytes) => topic.fromBytes(bytes), signal);
    if (!snapshot || signal.aborted) return;
    const error = new Error("this is known from an earlier time; Pulse has not been asked yet");
    this.#condition = { state: "stale", sinceAt: clock.wallNow(), error };
    this.#publish(this.#known.restore(snapshot));
    this.#status = { type: "stale", error, retryInMs: 0 };
    this.#publish([this.#status]);
  }

  #lose({ type, error, retryInMs }: Exclude<StreamItem<Response>, { type: "response" }>): void {
    this.#known.interrupt();
    this.#confirming?.pause();
    this.#becomeStale(error);
    const what = type === "rejected" ? error.message : "away";
    if (this.#loss === what || (this.#loss && type === "interrupted")) return;
    this.#loss = what;
    this.#say({ type: type === "rejected" ? type : "stale", error, retryInMs });
  }

  #learn(response: Response): void {
    const { resumeToken, revision } = this.#known;
    const wasConfirming = this.#confirming !== undefined;
    const told = this.#options.topic.read(response);
    this.#show(this.#known.apply(told));
    this.#confirm(told);
    this.#doubt(told);
    this.#view = undefined;
    const isNew = this.#known.resumeToken !== resumeToken || this.#known.revision !== revision;
    if (isNew || wasConfirming) this.#save();
  }

  #show(events: readonly WatchEvent<Item>[]): void {
    for (const event of events) {
      if (event.type === "synced") {
        this.#condition = { state: "live" };
        this.#loss = undefined;
        this.#say(event);
      } else this.#publish([event]);
    }
  }

  /** What a Pulse that has lost its history has not named again in time is gone. */
  #confirm({ bookmarkIntervalMs }: Told<Item>): void {
    const { clock } = this.#options;
    const known = this.#known;
    if (bookmarkIntervalMs !== undefined) this.#patienceMs = patienceFor(bookmarkIntervalMs);
    if (known.unconfirmed.size > 0) {
      this.#confirming ??= new ConfirmTime(CONFIRM_MS);
      if (known.isCaughtUp) this.#confirming.heard(clock.now(), this.#patienceMs);
      else this.#confirming.pause();
      if (this.#confirming.leftMs === 0) this.#show(known.dropUnconfirmed());
    }
    if (known.unconfirmed.size === 0) this.#confirming = undefined;
  }

  /** The stream is there, and all that this Pulse knows is shown: that may not be all there is. */
  #doubt({ event, isStale }: Told<Item>): void {
    const { topic, clock } = this.#options;
    if (event.type === "snapshot" && event.more) return;
    if (this.#confirming) {
      const until = new Date(clock.wallNow() + this.#confirming.leftMs).toISOString();
      const { size } = this.#known.unconfirmed;
      this.#mistrust(
        "unconfirmed",
        `Pulse has lost its history, or a part of it: of the ${topic.name} known before, ${size} not back yet, kept until ${until}`,
      );
    } else if (isStale)
      this.#mistrust("away", "Pulse cannot reach its database: others may have changed more");
  }

  /** Says so, unless as much has been said of this loss. */
  #mistrust(loss: "unconfirmed" | "away", message: string): void {
    const error = new Error(message);
    this.#condition = { state: "stale", sinceAt: this.#staleSinceAt(), error };
    if (this.#loss === loss || (this.#loss !== undefined && loss === "away")) return;
    this.#loss = loss;
    this.#say({ type: "stale", error, retryInMs: 0 });
  }

  /**
   * The file keeps the last state of a history that Pulse has lost, until that of the
   * new one is whole: with the new one's token, nothing would ever delete after a
   * restart what is unconfirmed.
   */
  #save(): void {
    const { topic, cache } = this.#options;
    if (!this.#confirming)
      cache?.write(() => (this.#confirming ? undefined : topic.toBytes(this.#known)));
  }

  #becomeStale(error: Error): void {
    const { state } = this.#condition;
    if (state === "loading") this.#condition = { state, error };
    else this.#condition = { state: "stale", sinceAt: this.#staleSinceAt(), error };
    this.#view = undefined;
  }

  #staleSinceAt(): number {
    const now = this.#condition;
    return now.state === "stale" ? now.sinceAt : this.#options.clock.wallNow();
  }

  #say(event: StatusEvent): void {
    this.#status = event;
    this.#publish([event]);
    this.#tell(event);
  }

  #tell(news: WatchNews): void {
    try {
      this.#options.onNews(news);
    } catch {
      // A log that throws is its owner's affair; the watch goes on.
    }
  }

  #publish(events: readonly WatchEvent<Item>[]): void {
    this.#view = undefined;
    for (const event of events) for (const reader of this.#readers) reader.push(event);
  }

  #end(error: Error | undefined): void {
    if (this.#condition.state === "closed") return;
    this.#condition = { state: "closed", error };
    this.#view = undefined;
    for (const reader of this.#readers) reader.end(error);
    this.#readers.clear();
    this.#leaving.abort();
    this.#tell(error ? { type: "failed", error } : { type: "closed" });
  }
}
