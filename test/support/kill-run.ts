import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "vitest";
import { RecordedClientWatch } from "./client-watch.js";
import { ClusterWatchers } from "./cluster-watchers.js";
import { CommitJournal } from "./commit-journal.js";
import { eventually } from "./eventually.js";
import { figure } from "./figures.js";
import { LoadWriters, lostWrites } from "./load-writers.js";
import { monotonicNow } from "./members.js";
import type { RunningProgram } from "./processes.js";
import { seededRandom } from "./seeded-random.js";
import type { Stack } from "./stack.js";

const ROW = 31;
/** Every commit is to be seen at the end. */
const ARGS = ["--history-changes", "1000000"];
/**
 * Pulse is killed so long after the first write at most, when all writers and watchers have
 * found it again; or so long after its start.
 */
const MAX_LOAD_MS = 1_500;
const MAX_STARTING_MS = 800;

export interface KillRun {
  readonly stack: Stack;
  /** How many times Pulse is killed. */
  readonly rounds: number;
  readonly seed: number;
}

/**
 * Kills Pulse at random moments while callers write and watch, and shows what is left: all
 * that it has acknowledged, in an unbroken history that all watchers saw.
 *
 * A SIGKILL leaves to the kernel what was written, so this is no power failure: that the
 * disk has it, too, is `synchronous = full` in src/store/sqlite.ts, which nothing here tests.
 */
export async function survivesKills(
  { stack, rounds, seed }: KillRun,
  { expect, onTestFinished }: TestContext,
): Promise<void> {
  const engine = stack.database ? "PostgreSQL" : "SQLite";
  const random = seededRandom(seed);
  const load = seededRandom(seed + 1); // how often it is asked is a matter of time
  const journal = new CommitJournal(stack.group.directory);
  const spawn = () => stack.spawnPulse(journal.env, ARGS);
  let pulse = spawn();
  await pulse.line("pulse.listening");
  const nodes = ["one", "two"].map((name) => ({ name, connect: () => stack.connect() }));
  const watchers = new ClusterWatchers(nodes, "");
  onTestFinished(() => void watchers.stop());
  const clientWatch = new RecordedClientWatch(stack.url, () => stack.token());
  onTestFinished(() => clientWatch.close());
  const writers = new LoadWriters({
    connect: () => stack.connect("admin"),
    count: 10,
    pauseMs: () => 20 * load.next(),
    random: load,
  });
  onTestFinished(() => writers.stop());

  const outagesMs: number[] = [];
  let killedAt: number | undefined;
  for (let round = 0; round < rounds; round++) {
    const isStarting = killedAt !== undefined && random.next() < 0.2;
    if (isStarting) await sleep(MAX_STARTING_MS * random.next());
    else {
      const againAt = await writesAgain(pulse);
      if (killedAt !== undefined) outagesMs.push(againAt - killedAt);
      await sleep(MAX_LOAD_MS * random.next());
    }
    pulse.kill("SIGKILL");
    killedAt = monotonicNow();
    expect({ seed, round, ...(await pulse.exit) }).toMatchObject({ signal: "SIGKILL" });
    pulse = spawn();
  }
  outagesMs.push((await writesAgain(pulse)) - (killedAt ?? 0));
  await writers.stop();
  await watchers.settle();
  const { downloadClients } = stack.connect();
  const list = await downloadClients.listDownloadClients({ pageSize: 1_000 });
  await eventually(() => clientWatch.isAt(list.revision, list.downloadClients), 20_000);
  pulse.kill("SIGKILL");
  await pulse.exit;
  const history = await stack.history(journal);
  await stack.startPulse(journal.env, ARGS);

  const { acknowledged, refused } = writers;
  const lost = lostWrites(acknowledged, history.commits);
  const codes = new Set(refused.map(({ outcome }) => outcome.split(" ")[0]));
  const broken = {
    stored: history.broken,
    lost,
    fresh: watchers.fresh,
    clientWatch: clientWatch.broken(history),
    ...(await watchers.broken(history.history)),
  };
  for (const [what, problems] of Object.entries(broken))
    expect({ seed, what, problems }).toEqual({ seed, what, problems: [] });
  expect({ seed, codes: [...codes] }).toEqual({ seed, codes: ["Unavailable"] });
  figure(ROW, `rounds of SIGKILL, ${engine}`, rounds);
  figure(ROW, `acknowledged writes, ${engine}`, acknowledged.length);
  figure(ROW, `acknowledged writes that are lost, ${engine}`, lost.length);
  const unheard = history.commits.length - acknowledged.length;
  figure(ROW, `commits whose acknowledgement nobody heard, ${engine}`, unheard);
  figure(ROW, `calls that failed meanwhile, all UNAVAILABLE, ${engine}`, refused.length);
  figure(
    ROW,
    `ms from a SIGKILL to the next acknowledged write, most, ${engine}`,
    Math.max(...outagesMs),
  );

  /** Waits for the first write that this Pulse acknowledges, and says when that was. */
  async function writesAgain(program: RunningProgram): Promise<number> {
    await program.line("pulse.listening");
    const listeningAt = monotonicNow();
    return eventually(() => {
      const first = writers.acknowledged.find(({ startedAt }) => startedAt > listeningAt);
      if (!first) throw new Error(`nobody writes: ${writers.writes.at(-1)?.outcome}`);
      return first.endedAt;
    }, 20_000);
  }
}
