import pg from "pg";
import { type Backoff, createBackoff } from "../lib/backoff.js";
import { type Clock, sleep } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import { COMMITS_CHANNEL } from "./commit-statements.js";
import { clientConfig, streamOf } from "./postgres-pool.js";
import type { Listening } from "./store.js";

const BACKOFF = createBackoff({ baseMs: 500, factor: 2, capMs: 5_000 });
/** A connection on which nobody says anything may be dead: so often it is asked, in ms. */
const PING_INTERVAL_MS = 10_000;
/** An answer that takes longer does not come, in ms. */
const PATIENCE_MS = 3_000;

export interface ListenerOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Whose commits are no news here; see QueriesOptions. */
  readonly author: string;
}

/**
 * Hints that somebody else commits, over a connection of its own that is made again
 * whenever it breaks. After each LISTEN comes a hint, since what was said before it
 * nobody has heard.
 */
export function listenForCommits(options: ListenerOptions, onHint: () => void): Listening {
  const { url, applicationName, clock, random, author } = options;
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

  /** Resolves when the connection is gone, or silent; to whether it ever listened. */
  async function listenOnce(): Promise<boolean> {
    const client = new pg.Client(clientConfig(url, applicationName));
    const gone = new AbortController();
    client.once("end", () => gone.abort());
    client.on("error", () => {}); // `end` follows
    client.on("notification", ({ payload }) => {
      if (payload !== author) onHint();
    });
    const close = () => streamOf(client).destroy();
    stopping.signal.addEventListener("abort", close);
    try {
      await client.connect();
      if (!(await answers(client, `listen ${COMMITS_CHANNEL}`))) return false;
      onHint();
      do await sleep(clock, PING_INTERVAL_MS, gone.signal).catch(() => {});
      while (!gone.signal.aborted && (await answers(client, "select 1")));
      return true;
    } catch {
      return false; // the poll goes on meanwhile, and says what is wrong
    } finally {
      stopping.signal.removeEventListener("abort", close);
      close();
    }
  }

  /** Whether the server carries it out, and soon: a dead connection takes what is sent, too. */
  async function answers(client: pg.Client, statement: string): Promise<boolean> {
    const answered = new AbortController();
    const isDone = client.query(statement).then(
      () => true,
      () => false,
    );
    const isLate = sleep(clock, PATIENCE_MS, answered.signal).then(
      () => false,
      () => false,
    );
    const inTime = await Promise.race([isDone, isLate]);
    answered.abort();
    return inTime;
  }

  return {
    stop() {
      stopping.abort();
      return ended;
    },
  };
}
