import { join } from "node:path";
import type { PulseConnection, WatchEvent, WatchView } from "../../src/client/index.js";
import { eventually } from "./eventually.js";
import type { RunningProgram } from "./processes.js";
import { shownText } from "./shown-text.js";
import type { Stack } from "./stack.js";
import { stateDifference } from "./watch-recording.js";

/** What the program `watchers` is started with. */
export interface WatchersConfig {
  readonly pulse: string;
  /** Read before each attempt. */
  readonly tokenFile: string;
  readonly count: number;
}

/** What a watcher was told, and when. */
export interface WatcherEvent {
  /** As `monotonicNow` tells it. */
  readonly at: number;
  readonly watcher: number;
  readonly type: WatchEvent<unknown>["type"];
  /** Of the entry, for a put or a delete. */
  readonly name?: string;
  readonly reason?: string;
  readonly error?: string;
}

/** What a watcher shows. */
export interface Shown {
  readonly state: WatchView<unknown>["state"];
  /** Entries by their ids, as `shownText` has them. */
  readonly entries: ReadonlyMap<string, string>;
}

/** Managers that watch download clients, in a process of their own: see `programs/watchers.ts`. */
export class Watchers {
  private constructor(
    private readonly stack: Stack,
    readonly program: RunningProgram,
    private readonly count: number,
  ) {}

  /** They find Pulse where it is, or at a port in front of it. Resolves when each is in step with it. */
  static async start(
    stack: Stack,
    { port = stack.port, count = 1 }: { readonly port?: number; readonly count?: number } = {},
  ): Promise<Watchers> {
    const config: WatchersConfig = {
      pulse: `http://127.0.0.1:${port}`,
      tokenFile: join(stack.dataDirectory, "tokens", "service.token"),
      count,
    };
    const program = stack.group.startScript("watchers", [JSON.stringify(config)]);
    await program.line("watchers.started");
    const watchers = new Watchers(stack, program, count);
    await watchers.each("synced");
    return watchers;
  }

  /** All since then, in the order of time. */
  events(sinceAt = 0): readonly WatcherEvent[] {
    const events = this.program.lines.filter(({ msg }) => msg === "watch");
    return (events as unknown as readonly WatcherEvent[]).filter(({ at }) => at >= sinceAt);
  }

  /** Waits for an event of that type since `sinceAt`, of each watcher, and returns the first ones. */
  each(
    type: WatcherEvent["type"],
    sinceAt = 0,
    withinMs = 20_000,
  ): Promise<readonly WatcherEvent[]> {
    return eventually(() => {
      const first = new Map<number, WatcherEvent>();
      for (const event of this.events(sinceAt))
        if (event.type === type && !first.has(event.watcher)) first.set(event.watcher, event);
      if (first.size < this.count)
        throw new Error(`${this.count - first.size} of ${this.count} are not ${type}`);
      return [...first.values()];
    }, withinMs);
  }

  /** Waits until one of them is told of such an error, since then. */
  said(pattern: RegExp, sinceAt: number): Promise<WatcherEvent> {
    return eventually(() => {
      const event = this.events(sinceAt).find(({ error = "" }) => pattern.test(error));
      if (!event) throw new Error(`no watcher says ${pattern}`);
      return event;
    });
  }

  /** What each of them shows now. */
  async shown(): Promise<readonly Shown[]> {
    const from = this.program.lines.length;
    this.program.write("current");
    const { views } = (await this.program.line("current", from)) as unknown as {
      readonly views: readonly {
        readonly state: Shown["state"];
        readonly entries: readonly (readonly [string, string])[];
      }[];
    };
    return views.map(({ state, entries }) => ({ state, entries: new Map(entries) }));
  }

  /** Waits until each of them is live and shows what Pulse lists, to the letter. */
  async showWhatIsListed(withinMs?: number): Promise<void> {
    const { downloadClients } = this.stack.connect();
    await eventually(async () => {
      const expected = await listedEntries(downloadClients);
      for (const [n, { state, entries }] of (await this.shown()).entries()) {
        if (state !== "live") throw new Error(`watcher ${n} is ${state}`);
        const difference = stateDifference(entries, expected);
        if (difference) throw new Error(`watcher ${n}: ${difference.slice(0, 500)}`);
      }
    }, withinMs);
  }
}

/** All pages of the list of download clients, each as `shownText` has it, by ids. */
export async function listedEntries({
  listDownloadClients,
}: PulseConnection["downloadClients"]): Promise<ReadonlyMap<string, string>> {
  const entries = new Map<string, string>();
  let pageToken = "";
  do {
    const page = await listDownloadClients({ pageToken });
    for (const entry of page.downloadClients) entries.set(entry.id, shownText(entry));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return entries;
}
