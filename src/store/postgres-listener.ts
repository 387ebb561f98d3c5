import pg from "pg";
import { type Backoff, createBackoff } from "../lib/backoff.js";
import { type Clock, sleep } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import { clientConfig, streamOf } from "./postgres-pool.js";
import { COMMITS_CHANNEL } from "./queries.js";
import type { Listening } from "./store.js";

const BACKOFF = createBackoff({ baseMs: 500, factor: 2, capMs: 5_000 });
/** A connection on which nobody says anything may be dead: so often it is asked, in ms. */
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 3_000;

export interface ListenerOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Hints that somebody commits, over a connection of its own that is made again
 * whenever it breaks. After each LISTEN comes a hint, since what was said before it
 * nobody has heard.
 */
export function listenForCommits(options: ListenerOptions, onHint: () => void): Listening {
  const { url, applicationName, clock, random } = options;
  const stopping = new AbortController();
  const ended = run();

  async function run(): Promise<void> {
    let backoff: Backoff = BACKOFF;
    while (!stopping.signal.aborted) {
      const heard = await listenOnce();
      backoff = heard ? BACKOFF : backoff.next();
      await sleep(clock, backoff.delayMs(random.next()), stopping.signal).catch(() => {});
    }
  }

  /** Resolves when the connection is gone; to whether it ever listened. */
  async function listenOnce(): Promise<boolean> {
    const client = new pg.Client(clientConfig(url, applicationName));
    const gone = new Promise<void>((resolve) => client.once("end", resolve));
    client.on("error", () => {}); // `end` follows
    client.on("notification", onHint);
    const close = () => streamOf(client).destroy();
    stopping.signal.addEventListener("abort", close);
    try {
      await client.connect();
      await client.query(`listen ${COMMITS_CHANNEL}`);
      onHint();
      await Promise.race([gone, pingUntilSilent(client)]);
      return true;
    } catch {
      return false; // the poll goes on meanwhile, and says what is wrong
    } finally {
      stopping.signal.removeEventListener("abort", close);
      close();
    }
  }

  /** Resolves when a ping gets no answer. */
  async function pingUntilSilent(client: pg.Client): Promise<void> {
    for (;;) {
      await sleep(clock, PING_INTERVAL_MS, stopping.signal);
      const answer = client.query("select 1").then(
        () => true,
        () => false,
      );
      const patience = sleep(clock, PING_TIMEOUT_MS, stopping.signal).then(() => false);
      if (!(await Promise.race([answer, patience]))) return;
    }
  }

  return {
    stop() {
      stopping.abort();
      return ended;
    },
  };
}
