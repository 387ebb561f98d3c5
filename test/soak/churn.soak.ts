import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Clients } from "../support/clients.js";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { LivelyStack } from "../support/lively-stack.js";
import { EMITTER_PROBE, type Memory, memoryOf } from "../support/preload.js";
import type { RunningProgram } from "../support/processes.js";
import { seededRandom } from "../support/seeded-random.js";
import { soak } from "../support/soak.js";
import { Stack } from "../support/stack.js";
import { median } from "../support/trend.js";

/** Memory, compiled code and the history are full after this. */
const WARM_UP_MS = soak(90_000, 10_000);
const CHURN_MS = soak(510_000, 20_000);
const SAMPLE_EACH_MS = soak(5_000, 2_000);
/** Two hours with an event each second. */
const EVENTS = soak(7_200, 300);
/** Of the first third of the samples to the last one. */
const MOST_GROWTH = soak(0.1, 0.2);
/** Emitters, at rest: clients that are well may have a connection more, with its calls. */
const MOST_EMITTERS = 50;
/** Pulse forgets closed sessions when it next looks for silent ones. */
const SETTLE_MS = 3_000;
/** So that the history is full when the warm-up is over. */
const SERVE_ARGS = ["--history-changes", "200"];

it("#32 churn, of two hours in ten minutes if it is not cut short, leaves memory and handles as they were", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse(EMITTER_PROBE, SERVE_ARGS);
  // Not disturbed itself, it hears of all that happens.
  const kept = { prefix: "kept", ports: [stack.port], members: 8, watches: 8, callers: 0 };
  const witness = await Clients.start(stack, kept, EMITTER_PROBE);
  await witness.areWell();
  const lively = await LivelyStack.create(stack, seededRandom(32));
  onTestFinished(() => lively.close());
  const programs = { Pulse: pulse, "a client's process": witness.program };

  lively.begin();
  await sleep(WARM_UP_MS);
  await lively.rest();
  const before = await atRest(programs);
  const earlier = sum(lively.counts);
  lively.begin();
  const samples: Record<string, Memory[]> = { Pulse: [], "a client's process": [] };
  for (const endAt = performance.now() + CHURN_MS; performance.now() < endAt; ) {
    await sleep(SAMPLE_EACH_MS);
    for (const [name, program] of Object.entries(programs))
      samples[name]?.push(await memoryOf(program));
  }
  figure(32, "events in all", sum(lively.counts));
  for (const [kind, count] of lively.counts) figure(32, `${kind}, times`, count);
  for (const [name, memories] of Object.entries(samples))
    for (const what of ["rss", "heapUsed", "files"] as const) {
      const [first, last] = thirds(memories.map((memory) => memory[what]));
      const unit = what === "files" ? 1 : 1e6;
      figure(32, `${what} of ${name}, first and last third`, `${first / unit} and ${last / unit}`);
      if (what === "files") continue; // as many as there happen to be clients: they are compared at rest
      expect.soft(last / first - 1, `${what} of ${name}`).toBeLessThan(MOST_GROWTH);
    }
  await lively.rest();
  await eventually(async () => {
    const after = await atRest(programs);
    expect(after.map(({ handles }) => handles)).toEqual(before.map(({ handles }) => handles));
    for (const [n, { emitters }] of after.entries()) {
      figure(
        32,
        `emitters of ${after[n]?.name}, before and after`,
        `${before[n]?.emitters} and ${emitters}`,
      );
      expect(emitters - (before[n]?.emitters ?? 0)).toBeLessThan(MOST_EMITTERS);
    }
  }, 60_000);
  expect(sum(lively.counts) - earlier).toBeGreaterThan(EVENTS);
  expect(witness.lossCount).toBe(0);
});

async function atRest(programs: Readonly<Record<string, RunningProgram>>) {
  await sleep(SETTLE_MS);
  const all = Object.entries(programs).map(async ([name, program]) => {
    const { files, handles, emitters = 0 } = await memoryOf(program);
    return { name, handles: `${files} files, ${handles.TCPSocketWrap ?? 0} sockets`, emitters };
  });
  return Promise.all(all);
}

function thirds(values: readonly number[]): [first: number, last: number] {
  const third = Math.floor(values.length / 3);
  return [median(values.slice(0, third)), median(values.slice(-third))];
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}
