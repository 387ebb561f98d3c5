import type { Bench, Scenario } from "../bench.js";
import { compare } from "../compare.js";
import type { CpuResult } from "../results.js";

/** Heartbeats, each stream with a lease of its own: an agent's way, and a fleet's. */
export const heartbeatScenario: Scenario = {
  name: "heartbeat",
  run: async (bench) => [await heartbeats(bench, 10, 10), await heartbeats(bench, 100, 1)],
};

function heartbeats(
  bench: Bench,
  connections: number,
  streamsPerConnection: number,
): Promise<CpuResult> {
  const streams = connections * streamsPerConnection;
  return compare(bench, {
    name: "heartbeat",
    shape: `${streams} streams on ${connections} connections`,
    aim: 1.3,
    open: (target) => bench.generator.openHeartbeats(target, { connections, streamsPerConnection }),
  });
}
