import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { WatchConnection } from "./clients.js";
import type { WatchCache } from "./watch-cache.js";
import type { WatchNews } from "./watch-log.js";
import { WatchReader } from "./watch-reader.js";
import { WatchState } from "./watch-state.js";
import { type FollowOptions, followStream } from "./watch-stream.js";
import type { Query, Topic } from "./watch-topics.js";
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
  /** What has been said of the present loss: `away`, or the refusal. */
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
    this.#becomeStale(error);
    const what = type === "rejected" ? error.message : "away";
    if (this.#loss === what || (this.#loss && type === "interrupted")) return;
    this.#loss = what;
    this.#say({ type: type === "rejected" ? type : "stale", error, retryInMs });
  }

  #learn(response: Response): void {
    const { topic, cache } = this.#options;
    const { resumeToken, revision } = this.#known;
    const told = topic.read(response);
    for (const event of this.#known.apply(told)) {
      if (event.type === "synced") {
        this.#condition = { state: "live" };
        this.#loss = undefined;
        this.#say(event);
      } else this.#publish([event]);
    }
    const isWhole = told.event.type !== "snapshot" || !told.event.more;
    if (told.isStale && isWhole) this.#fallBehind();
    this.#view = undefined;
    if (this.#known.resumeToken !== resumeToken || this.#known.revision !== revision)
      cache?.write(() => topic.toBytes(this.#known));
  }

  /** The stream is there, and shows all that this Pulse knows: that may not be all there is. */
  #fallBehind(): void {
    const error = new Error("Pulse cannot reach its database: others may have changed more");
    const sinceAt = this.#options.clock.wallNow();
    if (this.#condition.state !== "stale") this.#condition = { state: "stale", sinceAt, error };
    if (this.#loss !== undefined) return;
    this.#loss = "away";
    this.#say({ type: "stale", error, retryInMs: 0 });
  }

  #becomeStale(error: Error): void {
    const { clock } = this.#options;
    const now = this.#condition;
    if (now.state === "loading") this.#condition = { state: "loading", error };
    else if (now.state === "stale") this.#condition = { ...now, error };
    else this.#condition = { state: "stale", sinceAt: clock.wallNow(), error };
    this.#view = undefined;
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
