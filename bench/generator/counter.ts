import { monotonicMs } from "../monotonic.js";
import type { Counters } from "./load.js";

/** Counts what a load did, by outcome. */
export class Counter {
  done = 0;
  failed = 0;
  answerBytes = 0;
  readonly #failures: Record<string, number> = {};

  fail(problem: string): void {
    this.failed++;
    this.#failures[problem] = (this.#failures[problem] ?? 0) + 1;
  }

  counters(): Counters {
    const { user, system } = process.cpuUsage();
    return {
      atMs: monotonicMs(),
      done: this.done,
      answerBytes: this.answerBytes,
      failures: { ...this.#failures },
      generatorCpuMs: (user + system) / 1_000,
    };
  }
}
