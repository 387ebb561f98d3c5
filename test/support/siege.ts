import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { AttackConfig, Harvest } from "./attacks/attack.js";
import { eventually } from "./eventually.js";
import { figure } from "./figures.js";
import { GoodClient, type Latency } from "./good-client.js";
import { MEMORY_PROBE, type Memory, memoryOf } from "./preload.js";
import { forgetPeak, peakResidentBytes } from "./process-memory.js";
import type { RunningProgram } from "./processes.js";
import { Stack } from "./stack.js";

const MB = 1_000_000;
/** What Pulse may have in memory in any attack. Measured, with room: docs/operations.md. */
const MAX_PEAK_BYTES = 600 * MB;
/**
 * How much more than before it may hold once an attack is over, without garbage. What is
 * resident falls more slowly: Node and the C library keep what was freed for the next time.
 */
const MAX_KEPT_BYTES = 20 * MB;
/** Within which each call of a well-behaved client is answered. */
const MAX_ANSWER_MS = 5_000;
/** A loaded machine takes its time to compile a script. */
const ATTACK_WITHIN_MS = 60_000;
const LOOK_EACH_MS = 100;
const ROW = "attack";

export interface SiegeOptions {
  /** How long an attack goes on at full strength, ms. */
  readonly forMs: number;
  /** What it may take until all that an attacker had is gone, ms. */
  readonly overWithinMs?: number;
  /** What it may leave behind, since it was allowed to, bytes. */
  readonly keptBytes?: number;
}

export interface Outcome {
  readonly beforeBytes: number;
  readonly peakBytes: number;
  readonly afterBytes: number;
  readonly latency: Latency;
  readonly harvest: Harvest;
}

/** A Pulse that is attacked, with a well-behaved client beside it. */
export class Siege {
  private constructor(
    readonly stack: Stack,
    readonly pulse: RunningProgram,
    readonly client: GoodClient,
  ) {}

  static async begin(args: readonly string[] = []): Promise<Siege> {
    const stack = await Stack.create();
    try {
      const pulse = await stack.startPulse({ ...MEMORY_PROBE }, args);
      return new Siege(stack, pulse, await GoodClient.start(stack));
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** Attacks, and checks what every attack must leave alone. */
  async attack(
    what: string,
    config: Omit<AttackConfig, "port">,
    { forMs, overWithinMs = 20_000, keptBytes = MAX_KEPT_BYTES }: SiegeOptions,
  ): Promise<Outcome> {
    const { pulse, client, stack } = this;
    const before = await memoryOf(pulse);
    await forgetPeak(pulse.pid);
    client.latency();
    const attacker = stack.group.startScript("attacker", [
      JSON.stringify({ ...config, port: stack.port }),
    ]);
    await attacker.line("attacking", 0, ATTACK_WITHIN_MS);
    await sleep(forMs);
    const latency = client.latency();
    const peakBytes = await peakResidentBytes(pulse.pid);
    attacker.kill("SIGTERM");
    const harvest = (await attacker.line("harvest")) as unknown as Harvest;
    await attacker.exit;
    const after = await eventually(async () => {
      const memory = await memoryOf(pulse);
      await sleep(LOOK_EACH_MS);
      expect(memory.files).toBeLessThanOrEqual(before.files);
      expect((heldBytes(memory) - heldBytes(before)) / MB).toBeLessThan(keptBytes / MB);
      return memory;
    }, overWithinMs);
    const outcome = {
      beforeBytes: before.rss,
      peakBytes,
      afterBytes: after.rss,
      latency,
      harvest,
    };
    tell(what, outcome);
    if (process.env.SIEGE_LOOK) console.log(what, JSON.stringify(outcome));
    expect(client.failures).toEqual([]);
    expect(latency.calls).toBeGreaterThan(0);
    expect(latency.max).toBeLessThan(MAX_ANSWER_MS);
    expect(peakBytes / MB).toBeLessThan(MAX_PEAK_BYTES / MB);
    return outcome;
  }

  async end(): Promise<void> {
    await this.client.stop();
    await this.stack.stop();
  }
}

function heldBytes({ heapUsed, external }: Memory): number {
  return heapUsed + external;
}

function tell(what: string, { beforeBytes, peakBytes, afterBytes, latency }: Outcome): void {
  const mb = (bytes: number) => Math.round(bytes / MB);
  const ms = (value: number) => Math.round(value * 10) / 10;
  figure(
    ROW,
    what,
    `${mb(beforeBytes)} → ${mb(peakBytes)} → ${mb(afterBytes)} MB; ${ms(latency.p50)}, ${ms(latency.p99)}, ${ms(latency.max)} ms`,
  );
}
