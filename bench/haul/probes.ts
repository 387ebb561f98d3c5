import type { Adapter, ClientTarget } from "../../src/adapters/adapter.js";
import { createAdapter } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import type { HaulEffort } from "../bench.js";
import { sleep } from "../waiting.js";
import { type BenchClient, clientCpuMs } from "./clients.js";

/** What probes cost a download client. */
export interface ProbeCost {
  readonly version: string;
  /** CPU of the client for one, less what it takes when nobody asks. */
  readonly probeCpuMs: number;
  /** The same, for one with a log-in. */
  readonly logInCpuMs: number;
}

/** Parts of one core that each takes when nobody asks it, in their order. */
export async function measureIdle(
  clients: readonly BenchClient[],
  idleMs: number,
): Promise<readonly number[]> {
  const before = clients.map(clientCpuMs);
  const startedAt = performance.now();
  await sleep(idleMs);
  const tookMs = performance.now() - startedAt;
  return clients.map((client, i) => (clientCpuMs(client) - (before[i] ?? Number.NaN)) / tookMs);
}

/**
 * With Haul's own adapter, one probe right after the other: at Haul's pace the CPU time of
 * one would be less than the 10 ms in which the kernel counts.
 */
export async function measureProbes(
  client: BenchClient,
  idleUtilisation: number,
  { probes, logIns }: Pick<HaulEffort, "probes" | "logIns">,
): Promise<ProbeCost> {
  const { kind, url, username, password } = client;
  const target: ClientTarget = { kind, url, username, secret: password };
  const newAdapter = () => createAdapter(target, { clock: systemClock });
  const cpuMsOf = async (times: number, adapterOf: () => Adapter): Promise<number> => {
    const before = clientCpuMs(client);
    const startedAt = performance.now();
    for (let i = 0; i < times; i++) await probe(adapterOf());
    const idleMs = (performance.now() - startedAt) * idleUtilisation;
    return Math.max(0, clientCpuMs(client) - before - idleMs) / times;
  };
  const adapter = newAdapter();
  const version = await probe(adapter); // with the log-in
  const probeCpuMs = await cpuMsOf(probes, () => adapter);
  return { version, probeCpuMs, logInCpuMs: await cpuMsOf(logIns, newAdapter) };
}

/** @throws unless all is well: another answer costs something else. */
async function probe(adapter: Adapter): Promise<string> {
  const answer = await adapter.probe(new AbortController().signal);
  if (answer.outcome !== "ok") throw new Error(`a probe ended with: ${answer.message}`);
  return answer.version;
}
