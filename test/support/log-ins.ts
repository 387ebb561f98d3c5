import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type DownloadClient, type Watch, watchDownloadClients } from "../../src/client/index.js";
import { eventually } from "./eventually.js";
import { versionByEntry } from "./manager-calls.js";
import { monotonicNow } from "./members.js";
import type { Stack } from "./stack.js";

/** One log-in of a consumer, with what its watch said when it began. */
export interface LogIn {
  readonly beganAt: number;
  readonly endedAt: number;
  /** `away`: nobody answered, as while a client starts. */
  readonly end: "good" | "refused" | "away";
}

/** Logs in with what `current()` says, again and again, and not from one session to the next. */
export class LogIns {
  readonly logIns: LogIn[] = [];
  readonly #watch: Watch<DownloadClient>;
  readonly #toldAt = new Map<string, number>();
  readonly #working: Promise<unknown>;

  /** @param name of the entry */
  constructor(
    stack: Stack,
    private readonly name: string,
  ) {
    this.#watch = watchDownloadClients({ pulse: stack.url, token: () => stack.token() });
    this.#working = Promise.all([this.#listen(), this.#logInForEver()]);
  }

  /** When the watch told of that password; waits until it has. */
  told(password: string): Promise<number> {
    return eventually(() => {
      const at = this.#toldAt.get(password);
      if (at === undefined) throw new Error("the watch has not told of the password");
      return at;
    });
  }

  /** Resolves when that many more log-ins have ended well. */
  async more(count: number): Promise<void> {
    const good = () => this.logIns.filter(({ end }) => end === "good").length;
    const enough = good() + count;
    await eventually(() => expect(good()).toBeGreaterThanOrEqual(enough));
  }

  async stop(): Promise<void> {
    await this.#watch.close();
    await this.#working;
  }

  async #listen(): Promise<void> {
    for await (const event of this.#watch)
      if (event.type === "put" && event.item.name === this.name)
        this.#toldAt.set(event.item.password, monotonicNow());
  }

  async #logInForEver(): Promise<void> {
    for (;;) {
      const view = this.#watch.current();
      if (view.state === "closed") return;
      const entry = view.items.find(({ name }) => name === this.name);
      if (entry) await this.#logIn(entry);
      await sleep(50);
    }
  }

  async #logIn(entry: DownloadClient): Promise<void> {
    const beganAt = monotonicNow();
    const end = await versionByEntry(entry).then(
      () => "good" as const,
      (error: Error) => (error.message === "fetch failed" ? "away" : "refused"),
    );
    this.logIns.push({ beganAt, endedAt: monotonicNow(), end });
  }
}

/** What a rotation did to the log-ins that ended between it and the next one. */
export function outcomeOf(
  { askedAt, toldAt }: { readonly askedAt: number; readonly toldAt: number },
  logIns: readonly LogIn[],
) {
  const delayMs = toldAt - askedAt;
  const bad = logIns.filter(({ end }) => end !== "good");
  const [first, last] = [bad[0], bad.at(-1)];
  const again = logIns.find(({ end, beganAt }) => end === "good" && beganAt > (last?.beganAt ?? 0));
  if (!first || !last || !again) return { bad, delayMs, failingMs: 0, turnMs: 0 };
  return {
    bad,
    delayMs,
    failingMs: again.beganAt - Math.max(first.beganAt, askedAt),
    /** One log-in and the pause after it. */
    turnMs: again.beganAt - last.beganAt,
  };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
