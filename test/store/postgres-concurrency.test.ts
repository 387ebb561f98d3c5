import pg from "pg";
import { expect, it, onTestFinished } from "vitest";
import type { Commit } from "../../src/core/change.js";
import type { SharedStore, Store, StorePoint } from "../../src/store/store.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { describePostgres } from "../support/postgres.js";
import { seededRandom } from "../support/seeded-random.js";
import { type PostgresPlace, postgresPlace, run } from "./engines.js";
import { commitOf, serviceRecord } from "./sample-records.js";

const NODES = 3;
const WRITERS = 32;
const seed = Number(process.env.PULSE_SEED ?? 1);

/** A history as one node has learned it, which must have no gap at any time. */
class Mirror {
  readonly commits: Commit[] = [];

  get newest(): StorePoint {
    const { revision = 0n, stamp = "" } = this.commits.at(-1) ?? {};
    return { revision, stamp };
  }

  /** Takes what it does not know yet. What it does know must be the same. */
  take(commits: readonly Commit[]): void {
    for (const commit of commits) {
      const index = Number(commit.revision) - 1;
      if (index > this.commits.length) throw new Error(`revision ${commit.revision} leaves a gap`);
      const known = this.commits[index];
      if (known && known.stamp !== commit.stamp)
        throw new Error(`revision ${commit.revision} came as ${known.stamp} and ${commit.stamp}`);
      this.commits[index] = commit;
    }
  }

  get stamps(): string[] {
    return this.commits.map(({ stamp }) => stamp);
  }
}

type Outcome = "done" | "not done" | "unknown";

interface Call {
  readonly stamps: readonly string[];
  readonly outcome: Outcome;
}

/** A node: its store, what its own commits taught it, and what it followed. */
class Node {
  readonly written = new Mirror();
  readonly followed = new Mirror();

  constructor(readonly store: Store & { shared: SharedStore }) {}

  /** One call of a writer. Its commits touch the writer's service and one that all share. */
  async write(writer: number, stamps: readonly string[]): Promise<Call> {
    let commits: readonly Commit[] = [];
    try {
      await this.store.commit({
        known: () => this.written.newest,
        holdingsOf: [],
        decide: ({ missed }) => {
          this.written.take(missed);
          const { revision } = this.written.newest;
          commits = stamps.map((stamp, i) => commitAt(revision + BigInt(i + 1), writer, stamp));
          return commits;
        },
      });
      this.written.take(commits);
      return { stamps, outcome: "done" };
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      return { stamps, outcome: error.isOutcomeUnknown ? "unknown" : "not done" };
    }
  }

  async follow(isOver: () => boolean): Promise<void> {
    for (;;) {
      const wasOver = isOver();
      try {
        const { commits, revision } = await this.store.shared.since(this.followed.newest);
        this.followed.take(commits);
        if (wasOver && this.followed.newest.revision === revision) return;
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  }
}

function commitAt(revision: bigint, writer: number, stamp: string): Commit {
  const services = [`service-${writer}`, "shared"].map((id) =>
    serviceRecord({ id, revision, statusReason: stamp }),
  );
  return { ...commitOf(revision, { services }), stamp };
}

/** All writers at once, each making that many calls; then what each call came to. */
async function race(
  place: PostgresPlace,
  callsEach: number,
  meanwhile?: (isOver: () => boolean) => Promise<void>,
) {
  const nodes: Node[] = [];
  for (let i = 0; i < NODES; i++)
    nodes.push(new Node((await place.open()) as Store & { shared: SharedStore }));
  const random = seededRandom(seed);
  let isOver = false;
  const followers = nodes.map((node) => node.follow(() => isOver));
  const disturbance = meanwhile?.(() => isOver);
  const calls: Call[] = [];
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      const node = nodes[writer % NODES] as Node;
      for (let n = 0; n < callsEach; n++) {
        const size = 1 + Math.floor(random.next() * 5);
        const stamps = Array.from({ length: size }, (_, i) => `${writer}-${n}-${i}`);
        calls.push(await node.write(writer, stamps));
      }
    }),
  );
  isOver = true;
  await Promise.all([...followers, disturbance]);
  return { nodes, calls };
}

/** What every history must be, and what of the calls must be in it. */
async function expectOneHistory(
  place: PostgresPlace,
  { nodes, calls }: Awaited<ReturnType<typeof race>>,
): Promise<void> {
  const db = place.connect();
  const rows = await run(db, "select rev, stamp, follows from feed order by rev");
  const stamps = rows.map(({ stamp }) => stamp as string);
  expect(rows.map(({ rev }) => Number(rev))).toEqual(rows.map((_, i) => i + 1));
  expect(rows.map(({ follows }) => follows)).toEqual(["", ...stamps.slice(0, -1)]);
  expect(new Set(stamps).size).toBe(stamps.length);
  for (const { followed, written } of nodes) {
    expect(followed.stamps).toEqual(stamps);
    expect(written.stamps).toEqual(stamps.slice(0, written.stamps.length));
  }

  const positions = new Map(stamps.map((stamp, i) => [stamp, i]));
  for (const call of calls) {
    const found = call.stamps.map((stamp) => positions.get(stamp));
    const first = found[0];
    const whole = call.stamps.map((_, i) => (first ?? 0) + i);
    if (call.outcome === "done") expect(found).toEqual(whole);
    if (call.outcome === "not done" || first === undefined)
      expect(found).toEqual(call.stamps.map(() => undefined));
    if (call.outcome === "unknown" && first !== undefined) expect(found).toEqual(whole);
  }

  // The rows are those of the newest commit that wrote them, and the log is the same history.
  const stored = await (nodes[0] as Node).store.load();
  expect(stored.history.map(({ stamp }) => stamp)).toEqual(stamps);
  for (const { id, statusReason } of stored.services) {
    const newest =
      id === "shared"
        ? stamps.at(-1)
        : stamps.findLast((stamp) => stamp.startsWith(`${id.slice(8)}-`));
    expect([id, statusReason]).toEqual([id, newest]);
  }
}

describePostgres(`${WRITERS} writers on ${NODES} nodes (seed ${seed})`, () => {
  it("make one history without a gap, which every node learns in the same order", async () => {
    const place = await postgresPlace();
    const raced = await race(place, 30);
    expect(raced.calls.filter(({ outcome }) => outcome !== "done")).toEqual([]);
    expect(raced.nodes[0]?.followed.commits.length).toBeGreaterThan(2_000);
    await expectOneHistory(place, raced);
  });

  it("do so while their connections are killed, and know what became of each call", async () => {
    const place = await postgresPlace();
    const killer = new pg.Client(place.url);
    await killer.connect();
    onTestFinished(() => killer.end());
    const random = seededRandom(seed);
    const raced = await race(place, 30, async (isOver) => {
      while (!isOver()) {
        await new Promise((resolve) => setTimeout(resolve, random.next() * 30));
        const { rows } = await killer.query<{ pid: number }>(
          "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' order by pid",
        );
        const victim = rows[Math.floor(random.next() * rows.length)];
        if (victim) await killer.query("select pg_terminate_backend($1)", [victim.pid]);
      }
    });
    const refused = raced.calls.filter(({ outcome }) => outcome !== "done");
    expect(refused.length).toBeGreaterThan(10);
    await expectOneHistory(place, raced);
  });
});
