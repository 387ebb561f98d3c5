import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { AttackCase } from "./attack-cases.js";
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
/** A loaded machine takes its time to compile a script, and to open 10,000 connections. */
const ATTACK_WITHIN_MS = 240_000;
/** What it may take until all that an attacker had is gone: longer than peers have that fell silent. */
const OVER_WITHIN_MS = 40_000;
/** A log that an attack can fill is an attack, too. */
const MAX_LOG_LINES = 0;
const LOOK_EACH_MS = 100;
const ROW = "attack";

export interface SiegeOptions {
  /** How long an attack goes on at full strength, ms. */
  readonly forMs: number;
  /** Whether what was measured is a figure. */
  readonly tells?: boolean;
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
    attack: Omit<AttackCase, "count"> & { readonly count: number },
    { forMs, tells = false }: SiegeOptions,
  ): Promise<Outcome> {
    const { what, token, keptBytes = MAX_KEPT_BYTES, maxLogLines = MAX_LOG_LINES } = attack;
    const { pulse, client, stack } = this;
    const lines = pulse.lines.length;
    const before = await memoryOf(pulse);
    await forgetPeak(pulse.pid);
    client.latency();
    const config: AttackConfig = {
      attack: attack.attack,
      port: stack.port,
      count: attack.count,
      ...(attack.form === undefined ? {} : { form: attack.form }),
      ...(token === undefined ? {} : { token: await stack.token(token) }),
    };
    const attacker = stack.group.startScript("attacker", [JSON.stringify(config)]);
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
    }, OVER_WITHIN_MS);
    const outcome = {
      beforeBytes: before.rss,
      peakBytes,
      afterBytes: after.rss,
      latency,
      harvest,
    };
    if (tells) tell(what, outcome);
    if (process.env.SIEGE_LOOK) console.log(what, JSON.stringify(outcome));
    expect(client.failures).toEqual([]);
    const told = pulse.lines.slice(lines).filter(({ msg }) => msg !== "memory");
    expect(told.length, JSON.stringify(told.slice(0, 10))).toBeLessThanOrEqual(maxLogLines);
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
