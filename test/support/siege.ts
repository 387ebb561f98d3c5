import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { AttackConfig, Harvest } from "./attacks/attack.js";
import { eventually } from "./eventually.js";
import { figure } from "./figures.js";
import { GoodClient, type Latency } from "./good-client.js";
import { MEMORY_PROBE, memoryOf } from "./preload.js";
import { forgetPeak, peakResidentBytes } from "./process-memory.js";
import type { RunningProgram } from "./processes.js";
import { Stack } from "./stack.js";

const MB = 1_000_000;
/** What Pulse may have in memory in any attack. Measured, with room: docs/operations.md. */
export const MAX_PEAK_BYTES = 600 * MB;
/** How much more than before it may have once an attack is over. */
export const MAX_KEPT_BYTES = 50 * MB;
/** Within which each call of a well-behaved client is answered. */
export const MAX_ANSWER_MS = 5_000;
/** A loaded machine takes its time to compile a script. */
const ATTACK_WITHIN_MS = 60_000;
const ROW = "attack";

export interface SiegeOptions {
  /** How long an attack goes on at full strength, ms. */
  readonly forMs: number;
  /** What it may take until all that an attacker had is gone, ms. */
  readonly overWithinMs?: number;
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
    { forMs, overWithinMs = 20_000 }: SiegeOptions,
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
    const afterBytes = await eventually(async () => {
      const { rss, files } = await memoryOf(pulse);
      if (process.env.SIEGE_LOOK) console.log(what, rss / MB, files, before.files);
      expect(files).toBeLessThanOrEqual(before.files);
      if (rss > before.rss + MAX_KEPT_BYTES) {
        await sleep(200);
        expect((rss - before.rss) / MB).toBeLessThan(MAX_KEPT_BYTES / MB);
      }
      return rss;
    }, overWithinMs);
    const outcome = { beforeBytes: before.rss, peakBytes, afterBytes, latency, harvest };
    tell(what, outcome);
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

function tell(what: string, { beforeBytes, peakBytes, afterBytes, latency }: Outcome): void {
  const mb = (bytes: number) => Math.round(bytes / MB);
  const ms = (value: number) => Math.round(value * 10) / 10;
  figure(
    ROW,
    what,
    `${mb(beforeBytes)} → ${mb(peakBytes)} → ${mb(afterBytes)} MB; ${ms(latency.p50)}, ${ms(latency.p99)}, ${ms(latency.max)} ms`,
  );
}
