import { setTimeout as sleep } from "node:timers/promises";
import type { PulseConnection } from "../../src/client/index.js";
import type { ClusterNode } from "./cluster.js";
import { HAUL, LONG_TTL } from "./pulse.js";
import { type Status, statusOf } from "./status.js";

/** One Register, and what became of it. */
export interface Write {
  readonly node: ClusterNode;
  readonly startedAt: number;
  readonly endedAt: number;
  /** `ok`, or code and reason. */
  readonly outcome: string;
  readonly revision: bigint | undefined;
  readonly failure: Status | undefined;
}

/** Callers that register something again and again, each on a node of its own choice, and remember how it went. */
export class ClusterWriters {
  readonly writes: Write[] = [];
  readonly #running: Promise<void>[];
  #isStopped = false;

  /** @param pauseMs how long each waits between two calls */
  constructor(
    nodes: readonly ClusterNode[],
    token: string,
    { perNode, pauseMs }: { readonly perNode: number; readonly pauseMs: number },
  ) {
    this.#running = nodes.flatMap((node) => {
      const connection = node.connect(token);
      return Array.from({ length: perNode }, (_, n) =>
        this.#write(node, connection, `written-on-${node.name}-${n}`, pauseMs),
      );
    });
  }

  /** Of those that were under way at some time in between. */
  between(from: number, to: number, nodes?: readonly ClusterNode[]): readonly Write[] {
    return this.writes.filter(
      ({ startedAt, endedAt, node }) =>
        endedAt >= from && startedAt <= to && (nodes?.includes(node) ?? true),
    );
  }

  /** Resolves when none is under way any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  async #write(
    node: ClusterNode,
    { registry }: PulseConnection,
    instanceId: string,
    pauseMs: number,
  ): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const startedAt = performance.now();
      const request = {
        ...HAUL,
        instanceId,
        service: { ...HAUL.service, name: instanceId, version: `${n}` },
        requestedTtl: LONG_TTL,
      };
      const result = await registry.register(request).then(
        ({ revision }) => ({ outcome: "ok", revision, failure: undefined }),
        (error: unknown) => {
          const failure = statusOf(error);
          const outcome = `${failure.code} ${failure.reason ?? failure.message}`;
          return { outcome, revision: undefined, failure };
        },
      );
      this.writes.push({ node, startedAt, endedAt: performance.now(), ...result });
      await sleep(pauseMs);
    }
  }
}

/** How long the longest of them took, in ms. */
export function longestMs(writes: readonly Write[]): number {
  return Math.max(0, ...writes.map(({ startedAt, endedAt }) => endedAt - startedAt));
}
