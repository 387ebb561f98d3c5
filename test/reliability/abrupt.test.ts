import { it } from "vitest";
import {
  exitClients,
  exitPulse,
  heapEach,
  type LeakBounds,
  leavesNothing,
} from "../support/abrupt-exits.js";
import { figure } from "../support/figures.js";
import { Stack } from "../support/stack.js";

// 10,000 of each are in test/soak/abrupt.soak.ts.

/** The first round fills what fills once. */
const ROUNDS = 2;
const EXITS_EACH = 300;
/** They take some 15 s. */
const PATIENCE_MS = 90_000;
/**
 * Of so few exits, what is less may be code that was compiled meanwhile. An exit that is
 * kept is one emitter at least; these waver by some, as callers do.
 */
const LEAK: LeakBounds = { bytes: 6_000, emitters: 0.2 };

it.concurrent("#28 clients exit in mid-write, 300 times: no error, no leak, nobody else notices", {
  timeout: PATIENCE_MS,
}, async ({ expect, onTestFinished }) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const report = await exitClients(stack, ROUNDS, EXITS_EACH);
  figure(28, "heap that each of 300 clients leaves behind in Pulse, bytes", heapEach(report));
  leavesNothing(expect, report, LEAK);
});

it.concurrent("#28 Pulse exits in mid-write, 300 times as its clients see it: no error, no leak", {
  timeout: PATIENCE_MS,
}, async ({ expect, onTestFinished }) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const report = await exitPulse(stack, ROUNDS, EXITS_EACH, 1);
  figure(28, "heap that each of 300 exits of Pulse leaves behind, bytes", heapEach(report));
  leavesNothing(expect, report, LEAK);
});
