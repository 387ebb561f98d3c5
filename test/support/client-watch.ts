import {
  type DownloadClient,
  type Watch,
  type WatchEvent,
  watchDownloadClients,
} from "../../src/client/index.js";
import { writeResumeToken } from "../../src/pulse/resume-token.js";
import type { DatabaseHistory } from "./watch-database.js";
import { type State, stateDifference } from "./watch-recording.js";
import { entryText } from "./watch-truth.js";

/** The client's own watch of download clients, and all that its reader was told. */
export class RecordedClientWatch {
  readonly events: WatchEvent<DownloadClient>[] = [];
  readonly #watch: Watch<DownloadClient>;
  readonly #reading: Promise<void>;

  constructor(pulse: string, token: () => Promise<string>) {
    this.#watch = watchDownloadClients({ pulse, token });
    this.#reading = this.#read();
  }

  /** @throws if it is not live yet, or not where a list is */
  isAt(revision: bigint, entries: readonly DownloadClient[]): void {
    const view = this.#watch.current();
    if (view.state !== "live" || view.revision !== revision)
      throw new Error(`the client's watch is ${view.state} at ${view.revision}, not ${revision}`);
    const difference = stateDifference(stateOf(view.items), stateOf(entries));
    if (difference !== undefined) throw new Error(`the client's watch: ${difference}`);
  }

  async close(): Promise<void> {
    await this.#watch.close();
    await this.#reading;
  }

  /** What it told that never was, or was over already, or too often. Should be nothing. */
  broken({ epoch, history, commits }: DatabaseHistory): readonly string[] {
    const truth = history.entries({ matches: () => true, withCredentials: true });
    const stamps = new Map(commits.map(({ revision, stamp }) => [revision, stamp]));
    const stateAt = (revision: bigint) =>
      truth.stateAt(writeResumeToken({ epoch, revision, stamp: stamps.get(revision) ?? "" }));
    const newest = new Map<string, bigint>();
    let isSynced = false;
    return this.events.flatMap((event) => {
      if (event.type === "synced") isSynced = true;
      if (event.type !== "put" && event.type !== "delete") return [];
      const { item, revision, reason } = event;
      const before = newest.get(item.id) ?? -1n;
      newest.set(item.id, revision);
      const told = `${event.type} of ${item.id} at ${revision}`;
      const isTrue =
        event.type === "put"
          ? stateAt(revision)?.get(item.id) === entryText(item)
          : stateAt(revision)?.has(item.id) === false;
      return [
        ...(revision <= before ? [`${told} after ${before}`] : []),
        ...(isSynced && reason === "snapshot" ? [`${told} comes from another snapshot`] : []),
        ...(isTrue ? [] : [`${told} is not true`]),
      ];
    });
  }

  async #read(): Promise<void> {
    for await (const event of this.#watch) this.events.push(event);
  }
}

function stateOf(entries: readonly DownloadClient[]): State {
  return new Map(entries.map((entry) => [entry.id, entryText(entry)]));
}
