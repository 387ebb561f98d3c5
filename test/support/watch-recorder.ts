import { setTimeout as sleep } from "node:timers/promises";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import { ChangeType, SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import {
  changedId,
  placeOf,
  type RecordedItem,
  type RecordedResponse,
  type RecordedStream,
  type Recording,
  type SnapshotReasonName,
  type State,
  type Truth,
  WatchedState,
} from "./watch-recording.js";
import { entryText, serviceText } from "./watch-truth.js";

/** Opens one watch with a resume token. */
export type OpenWatch = (
  resumeToken: string,
  signal: AbortSignal,
) => AsyncIterable<WatchDownloadClientsResponse | WatchServicesResponse>;

export interface RecordedWatcherOptions {
  readonly name: string;
  readonly open: OpenWatch;
  readonly truth: Truth;
  /** How long it takes to think about each response, in ms. */
  readonly thinkMs?: () => number;
  /** How long it waits before it opens the next stream, in ms; 5. */
  readonly retryMs?: () => number;
}

/** A moment at which a watcher might be cut off. */
export interface Moment {
  /** The newest it had. */
  readonly token: string;
  readonly state: State;
  /** It knew more than its token says. */
  readonly isAhead: boolean;
}

/** A watcher that does all that the contract asks of one, and remembers everything. */
export class RecordedWatcher implements Recording {
  readonly name: string;
  readonly truth: Truth;
  readonly streams: (RecordedStream & { responses: RecordedResponse[]; end: string })[] = [];
  readonly #options: RecordedWatcherOptions;
  readonly #watched = new WatchedState();
  #token = "";
  #current = new AbortController();
  #isStopped = false;
  #pausedUntil = 0;
  readonly #running: Promise<void>;

  constructor(options: RecordedWatcherOptions) {
    this.name = options.name;
    this.truth = options.truth;
    this.#options = options;
    this.#running = this.#run();
  }

  /** The newest token that was not empty. */
  get token(): string {
    return this.#token;
  }

  get state(): State {
    return this.#watched.state;
  }

  /** Its connection breaks. */
  drop(): void {
    this.#current.abort(new Error("dropped"));
  }

  /** Reads nothing for so long. */
  pause(ms: number): void {
    this.#pausedUntil = performance.now() + ms;
  }

  /** Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.drop();
    await this.#running;
  }

  /** All the moments at which it had a token. */
  moments(): Moment[] {
    const watched = new WatchedState();
    let token = "";
    const moments: Moment[] = [];
    for (const { responses } of this.streams) {
      watched.reopen();
      for (const response of responses) {
        watched.apply(response);
        const isAhead =
          changedId(response) !== undefined && placeOf(response.token) === placeOf(token);
        if (response.token !== "") token = response.token;
        if (token !== "") moments.push({ token, state: new Map(watched.state), isAhead });
      }
    }
    return moments;
  }

  async #run(): Promise<void> {
    const { open, thinkMs = () => 0, retryMs = () => 5 } = this.#options;
    while (!this.#isStopped) {
      this.#current = new AbortController();
      const { signal } = this.#current;
      const stream = { openedWith: this.#token, responses: [] as RecordedResponse[], end: "" };
      this.streams.push(stream);
      this.#watched.reopen();
      try {
        for await (const message of open(this.#token, signal)) {
          if (signal.aborted) break;
          const response = recorded(message);
          stream.responses.push(response);
          this.#watched.apply(response);
          if (response.token !== "") this.#token = response.token;
          const waitMs = Math.max(thinkMs(), this.#pausedUntil - performance.now());
          if (waitMs > 0) await wait(waitMs, signal);
        }
        stream.end = "ended without an error";
      } catch (error) {
        stream.end = error instanceof Error ? error.message : String(error);
      }
      if (signal.aborted) stream.end = "dropped";
      if (!this.#isStopped) await wait(retryMs());
    }
  }
}

/** Resolves after `ms`, or when the signal aborts. */
function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return sleep(ms, undefined, signal && { signal }).catch(() => {});
}

/** A response of either topic, in the terms of the validators. */
export function recorded(
  message: WatchDownloadClientsResponse | WatchServicesResponse,
): RecordedResponse {
  const { revision, resumeToken: token } = message;
  return { revision, token, event: eventOf(message) };
}

function eventOf(
  message: WatchDownloadClientsResponse | WatchServicesResponse,
): RecordedResponse["event"] {
  const { event } = message;
  switch (event.case) {
    case "bookmark":
      return { kind: "bookmark" };
    case "snapshot": {
      const { value } = event;
      const reason = SnapshotReason[value.reason] as SnapshotReasonName;
      return { kind: "snapshot", items: itemsOf(value), more: value.more, reason };
    }
    case "change": {
      const { value } = event;
      const item = itemsOf(
        value.$typeName === "pulse.v1.ServiceChange"
          ? { services: value.service ? [value.service] : [] }
          : { downloadClients: value.downloadClient ? [value.downloadClient] : [] },
      )[0];
      if (!item) throw new Error("a change without an item");
      if (value.type === ChangeType.PUT) return { kind: "put", item };
      if (value.type === ChangeType.DELETE) return { kind: "delete", id: item.id };
      throw new Error(`a change of type ${value.type}`);
    }
    default:
      throw new Error("a response without an event");
  }
}

type Items = {
  readonly services?: readonly Parameters<typeof serviceText>[0][];
  readonly downloadClients?: readonly Parameters<typeof entryText>[0][];
};

function itemsOf({ services = [], downloadClients = [] }: Items): RecordedItem[] {
  return [
    ...services.map((service) => ({ id: service.id, text: serviceText(service) })),
    ...downloadClients.map((entry) => ({ id: entry.id, text: entryText(entry) })),
  ];
}
