import { setTimeout as sleep } from "node:timers/promises";
import type { AskedNode } from "./cluster.js";
import { HeartbeatClient } from "./heartbeat-client.js";
import { HAUL, LONG_TTL } from "./pulse.js";
import { statusOf } from "./status.js";

/** One thing that was asked of a node. */
export interface Answer {
  readonly node: AskedNode;
  readonly startedAt: number;
  readonly tookMs: number;
  readonly outcome: string;
}

const INTERVAL_MS = 300;

/** Heartbeats of one lease with a long TTL and one list, again and again, on each node. */
export class ClusterProbes {
  readonly beats: Answer[] = [];
  /** `fresh`, `stale`, or the error. */
  readonly lists: Answer[] = [];
  readonly #running: readonly Promise<void>[];
  #isStopped = false;

  private constructor(
    nodes: readonly AskedNode[],
    token: string,
    leases: readonly string[],
    private readonly fleetSize: number,
  ) {
    this.#running = nodes.flatMap((node, n) => [
      this.#beat(node, token, leases[n] ?? ""),
      this.#list(node, token),
    ]);
  }

  /** @param fleetSize services that are in every list, at least */
  static async start(
    nodes: readonly AskedNode[],
    token: string,
    fleetSize = 200,
  ): Promise<ClusterProbes> {
    const leases = nodes.map(async (node) => {
      const { registry } = node.connect(token);
      const { lease } = await registry.register({
        ...HAUL,
        instanceId: `probe-of-${node.name}`,
        requestedTtl: LONG_TTL,
      });
      return lease?.id ?? "";
    });
    return new ClusterProbes(nodes, token, await Promise.all(leases), fleetSize);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  async #beat(node: AskedNode, token: string, leaseId: string): Promise<void> {
    const { registry } = node.connect(token);
    let stream = new HeartbeatClient(registry);
    await this.#repeat(node, this.beats, async () => {
      try {
        const event = await stream.beat({ leaseId });
        return event.case ?? "";
      } catch (error) {
        stream = new HeartbeatClient(registry);
        throw error;
      }
    });
    await stream.beat({ leaseId, goodbye: true }).catch(() => {}); // there may be nobody to say it to
    stream.break();
  }

  #list(node: AskedNode, token: string): Promise<void> {
    const { registry } = node.connect(token);
    return this.#repeat(node, this.lists, async () => {
      const { stale, services } = await registry.listServices({ pageSize: 1_000 });
      if (services.length < this.fleetSize) return `only ${services.length} services`;
      return stale ? "stale" : "fresh";
    });
  }

  async #repeat(node: AskedNode, answers: Answer[], ask: () => Promise<string>): Promise<void> {
    while (!this.#isStopped) {
      const startedAt = performance.now();
      const outcome = await ask().catch((error: unknown) => {
        const { code, reason, message } = statusOf(error);
        return `${code} ${reason ?? message}`;
      });
      answers.push({ node, startedAt, tookMs: performance.now() - startedAt, outcome });
      await sleep(INTERVAL_MS);
    }
  }
}

/** What came of those that began in between, each once. */
export function outcomes(answers: readonly Answer[], from: number, to: number): readonly string[] {
  const within = answers.filter(({ startedAt }) => startedAt >= from && startedAt <= to);
  return [...new Set(within.map(({ outcome }) => outcome))].sort();
}

/** How long the longest of them took that began since then, in ms. */
export function longestAnswerMs(answers: readonly Answer[], since: number): number {
  const times = answers.filter(({ startedAt }) => startedAt >= since).map(({ tookMs }) => tookMs);
  return Math.max(0, ...times);
}
