import { expect, it, onTestFinished } from "vitest";
import {
  type ExitReport,
  exitClients,
  exitPulse,
  handlesOf,
  heapEach,
  type LeakBounds,
  leavesNothing,
} from "../support/abrupt-exits.js";
import { figure } from "../support/figures.js";
import { soak } from "../support/soak.js";
import { Stack } from "../support/stack.js";

/** The first round fills what fills once: 10,000 exits are measured, or 750 of 1,500. */
const ROUNDS = soak(6, 2);
const EXITS_EACH = soak(2_000, 750);
/** Real ones of Pulse, on top of its exits as clients see them. */
const KILLS_EACH = soak(5, 2);
/** A promise or a timer is more; of few exits a bound is no less than the noise. */
const LEAK: LeakBounds = soak({ bytes: 200, emitters: 0.01 }, { bytes: 2_000, emitters: 0.1 });

it("#28 clients exit in mid-write, thousands of times: no error, no leak, nobody else notices", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const report = await exitClients(stack, ROUNDS, EXITS_EACH);
  tell("clients", "Pulse", report);
  leavesNothing(expect, report, LEAK);
});

it("#28 Pulse exits in mid-write, thousands of times as its clients see it: no error, no leak", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const report = await exitPulse(stack, ROUNDS, EXITS_EACH, KILLS_EACH);
  tell("Pulse", "a client's process", report);
  figure(28, "kills of Pulse among them", ROUNDS * KILLS_EACH);
  leavesNothing(expect, report, LEAK);
});

function tell(who: string, whose: string, report: ExitReport): void {
  const { samples } = report;
  figure(28, `exits of ${who} in mid-write`, samples.at(-1)?.exits ?? 0);
  figure(28, `heap of ${whose} that each leaves behind, bytes`, heapEach(report));
  figure(
    28,
    `files and sockets of ${whose} after each round`,
    [...new Set(handlesOf(report))].join("; "),
  );
  const mb = samples.map(({ memory }) => (memory.heapUsed / 1e6).toFixed(2));
  figure(28, `heap of ${whose} after each round, MB`, mb.join(" "));
  figure(
    28,
    `RSS of ${whose} after each round, MB`,
    samples.map(({ memory }) => Math.round(memory.rss / 1e6)).join(" "),
  );
}
