import type { AppliedChange } from "../../src/core/catalog.js";
import type { Change, Commit } from "../../src/core/change.js";
import { type ServiceTraits, traitsOfService } from "../../src/core/filter.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { History } from "../../src/pulse/history.js";
import {
  DEFAULT_WATCH_POLICY,
  TICKS_PER_INTERVAL,
  WatchHub,
  type WatchPolicy,
} from "../../src/pulse/watch-hub.js";
import type { Meta, StateMeta, WatchTopic } from "../../src/pulse/watch-topic.js";
import type { Watcher } from "../../src/pulse/watcher.js";
import { commitOf, serviceRecord } from "../store/sample-records.js";
import { settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

/** A response that can be read, and told from its equals. */
export interface ToyResponse {
  readonly text: string;
  readonly token: string;
}

/** Services as a topic with short texts for responses, which counts what it makes. */
export class ToyTopic implements WatchTopic<ServiceRecord, ServiceTraits, ToyResponse> {
  readonly subject = "service";
  readonly present = new Map<string, ServiceRecord>();
  /** Messages of items that were made. */
  made = 0;
  /** Size of an item, in characters. */
  size = 10;
  /** Throws if it may not be made. */
  check: (id: string, withCredentials: boolean) => void = () => {};

  readonly items = () => this.present.values();
  readonly find = (id: string) => this.present.get(id);
  readonly traitsOf = traitsOfService;
  readonly sizeOf = (item: ServiceRecord | undefined) => (item ? this.size : 0);

  readonly snapshot: WatchTopic<ServiceRecord, ServiceTraits, ToyResponse>["snapshot"] = (
    items,
    withCredentials,
    { cause, more, ...meta },
  ) => {
    const texts = items.map((item) => this.#textOf(item, withCredentials));
    return respond(`${cause} [${texts.join(" ")}]${more ? " and more" : ""}`, meta);
  };
  readonly put: WatchTopic<ServiceRecord, ServiceTraits, ToyResponse>["put"] = (
    item,
    withCredentials,
  ) => {
    const text = this.#textOf(item, withCredentials);
    return ({ reason, ...meta }) => respond(`put ${text} (${reason})`, meta);
  };
  readonly gone: WatchTopic<ServiceRecord, ServiceTraits, ToyResponse>["gone"] = (id) => {
    this.#make(id, false);
    return ({ reason, ...meta }) => respond(`delete ${id} (${reason})`, meta);
  };
  readonly bookmark = (meta: StateMeta) => respond("bookmark", meta);

  #textOf({ id, spec, apiKey }: ServiceRecord, withCredentials: boolean): string {
    this.#make(id, withCredentials);
    return `${spec.type} ${id}${withCredentials ? ` with ${apiKey}` : ""}`;
  }

  #make(id: string, withCredentials: boolean): void {
    this.check(id, withCredentials);
    this.made++;
  }
}

function respond(text: string, { revision, token, stale }: Meta & Partial<StateMeta>): ToyResponse {
  return { text: `${text} @${revision}${stale ? ", stale" : ""}`, token };
}

/** A hub over toys that a test changes: `red a` is the service a of type red. */
export class ToyHub {
  readonly topic = new ToyTopic();
  readonly history: History;
  readonly hub: WatchHub<ServiceRecord, ServiceTraits, ToyResponse>;
  readonly log = recordingLog();
  now = 0;
  /** Others may have committed what is not known here. */
  isStale = false;

  constructor(policy: Partial<WatchPolicy> = {}, maxCommits = 1_000) {
    this.history = new History(
      { epoch: "epoch-1", revision: 0n, stamp: "", history: [] },
      { maxCommits, maxAgeMs: Number.POSITIVE_INFINITY },
    );
    this.hub = new WatchHub({
      topic: this.topic,
      history: this.history,
      policy: { ...DEFAULT_WATCH_POLICY, ...policy },
      now: () => this.now,
      isStale: () => this.isStale,
      log: this.log,
    });
  }

  /** One commit: `red a` puts a, `- a` removes it, `? a` says of it what watchers do not see. */
  commit(...changes: string[]): void {
    const applied = changes.map((text): AppliedChange => {
      const [what = "", id = ""] = text.split(" ");
      const before = this.topic.present.get(id);
      if (what === "-") this.topic.present.delete(id);
      else if (what !== "?") this.topic.present.set(id, toy(id, what));
      const after = this.topic.present.get(id);
      const change: Change = {
        subject: what === "?" ? "token" : "service",
        subjectId: id,
        type: after ? "put" : "delete",
        detail: "",
      };
      return { subject: change.subject, change, before, after } as AppliedChange;
    });
    const commit: Commit = { ...commitOf(this.history.point.revision + 1n, {}) };
    this.history.append(commit, applied);
    this.hub.publish(commit, applied);
  }

  /** All ticks of one interval, at once. */
  interval(): void {
    for (let i = 0; i < TICKS_PER_INTERVAL; i++) this.hub.tick();
  }

  /** Watches all toys, or those of one type. */
  watch(type = "", options: { token?: string; withCredentials?: boolean; tokenId?: string } = {}) {
    const { token = "", withCredentials = false, tokenId = "token-1" } = options;
    return new Reader(
      this.hub.watch({
        matches: (traits) => type === "" || traits.type === type,
        withCredentials,
        filterKey: type,
        resumeToken: token,
        tokenId,
      }),
    );
  }
}

function toy(id: string, type: string): ServiceRecord {
  const record = serviceRecord({ id, apiKey: "key" });
  return { ...record, spec: { ...record.spec, type } };
}

/** Reads what a watcher has, without waiting for more; the next read is under way then. */
export class Reader<Response extends { readonly text: string; readonly token: string }> {
  readonly watcher: Watcher<Response>;
  /** The newest that was not empty. */
  token = "";
  readonly responses: Response[] = [];
  #read = 0;
  #reading: Promise<void> | undefined;

  constructor(watcher: Watcher<Response>) {
    this.watcher = watcher;
  }

  /** Texts of all that is there, or of the first `count`. */
  async read(count = Number.POSITIVE_INFINITY): Promise<string[]> {
    const texts: string[] = [];
    while (texts.length < count) {
      if (this.#read === this.responses.length) {
        this.#reading ??= this.#take();
        await Promise.race([this.#reading, settle(1)]);
      }
      const response = this.responses[this.#read];
      if (!response) break;
      this.#read++;
      texts.push(response.text);
      if (response.token) this.token = response.token;
    }
    return texts;
  }

  /** What it ends with. */
  async end(): Promise<unknown> {
    try {
      await this.read();
    } catch (error) {
      return error;
    }
    throw new Error("it has not ended");
  }

  #take(): Promise<void> {
    const taking = this.watcher.next().then(({ done, value }) => {
      if (done) throw new Error("the stream is over");
      this.#reading = undefined;
      this.responses.push(value);
    });
    taking.catch(() => {}); // whoever reads next sees it
    return taking;
  }
}
