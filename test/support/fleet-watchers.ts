import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import { type StreamItem, streamDownloadClientResponses } from "../../src/client/index.js";
import { eventually } from "./eventually.js";

/** What one watcher was told that is no snapshot and no bookmark. */
export interface SeenChange {
  readonly type: "put" | "delete";
  readonly name: string;
  readonly reason: string;
  readonly revision: bigint;
}

/** A watch of all entries, across losses, as the client keeps it. */
export class FleetWatcher {
  /** Whole ones. */
  snapshots = 0;
  /** The newest revision that it knows to be complete. */
  revision = 0n;
  readonly changes: SeenChange[] = [];
  /** Why its stream ended, or could not be opened, oldest first. */
  readonly interruptions: Error[] = [];
  /** Whether its stream is open, and has said something. */
  isLive = false;

  take(item: StreamItem<WatchDownloadClientsResponse>): void {
    this.isLive = item.type === "response";
    if (item.type !== "response") {
      this.interruptions.push(item.error);
      return;
    }
    const { event, revision, resumeToken } = item.response;
    if (resumeToken !== "") this.revision = revision;
    if (event.case === "snapshot" && !event.value.more) this.snapshots += 1;
    if (event.case !== "change") return;
    const { type, reason, downloadClient } = event.value;
    this.changes.push({
      type: type === ChangeType.DELETE ? "delete" : "put",
      name: downloadClient?.name ?? "",
      reason,
      revision,
    });
  }
}

/** Many watchers in the test's process, each on a connection of its own. */
export class FleetWatchers {
  readonly watchers: readonly FleetWatcher[];
  readonly #endings: readonly AbortController[];
  readonly #running: readonly Promise<void>[];

  /** @param pulse addresses, with commas between */
  constructor(count: number, options: { readonly pulse: string; readonly token: string }) {
    this.watchers = Array.from({ length: count }, () => new FleetWatcher());
    this.#endings = this.watchers.map(() => new AbortController());
    this.#running = this.watchers.map(async (watcher, n) => {
      const signal = this.#endings[n]?.signal as AbortSignal;
      for await (const item of streamDownloadClientResponses({ ...options, signal }))
        watcher.take(item);
    });
  }

  /** Waits until each has an open stream and a whole state, and knows all up to that revision. */
  async areLive(revision = 0n, withinMs?: number): Promise<void> {
    await eventually(() => {
      const behind = this.watchers.filter(
        (it) => !it.isLive || it.snapshots === 0 || it.revision < revision,
      );
      const [first] = behind;
      if (first)
        throw new Error(
          `${behind.length} watchers are not live at ${revision}, the first at ${first.revision}: ${first.interruptions.at(-1)}`,
        );
    }, withinMs);
  }

  async stop(): Promise<void> {
    for (const ending of this.#endings) ending.abort();
    await Promise.all(this.#running);
  }
}
