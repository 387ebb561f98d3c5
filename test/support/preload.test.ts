import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "./eventually.js";
import { EMITTER_PROBE, hastyClock, MovingNames, memoryOf, ShiftedClock } from "./preload.js";
import { HAUL } from "./pulse.js";
import { freePort, Stack } from "./stack.js";

const HOUR_MS = 3_600_000;

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

it("a program's wall clock is as wrong as it is set, and again otherwise", async () => {
  const wrongBy = (ms: number) => Math.round((ms - Date.now()) / HOUR_MS);
  const clock = await ShiftedClock.create(stack.group.directory);
  await clock.shift(-HOUR_MS);
  const pulse = await stack.startPulse(clock.env);
  const { time } = await pulse.line("pulse.listening");
  expect(wrongBy(Date.parse(String(time)))).toBe(-1);
  await clock.shift(2 * HOUR_MS);
  const { registry } = stack.connect();
  await eventually(async () => {
    const { service } = await registry.register(HAUL);
    if (!service?.lastSeenTime) throw new Error("there is no last_seen_time");
    expect(wrongBy(timestampMs(service.lastSeenTime))).toBe(2);
  });
});

it("a name stands for what it is set to, for a program that is running too", async () => {
  const names = await MovingNames.create(stack.group.directory, { "pulse.test": [] });
  await stack.startPulse();
  const pulse = `http://pulse.test:${stack.port}`;
  const members = await stack.startMembers({ pulse }, names.env);
  await eventually(() => expect(members.events()[0]?.error).toMatch(/ENOTFOUND/));
  await names.set({ "pulse.test": ["127.0.0.1"] });
  await members.areRegistered();
});

it("a program's time passes as many times as fast as it is told", async () => {
  await stack.startPulse();
  const members = await stack.startMembers(
    { pulse: `http://127.0.0.1:${await freePort()}`, standaloneAfterMs: 40_000 },
    hastyClock(40),
  );
  const { at } = await members.program.line("members.started");
  const [standalone] = await members.each("standalone", 0);
  const passedMs = (standalone?.at ?? Number.NaN) - Number(at);
  expect(passedMs).toBeGreaterThan(900);
  expect(passedMs).toBeLessThan(10_000);
});

it("a program tells what it holds once its garbage is gone", async () => {
  const pulse = await stack.startPulse(EMITTER_PROBE);
  const before = await memoryOf(pulse);
  expect(before.heapUsed).toBeGreaterThan(1_000_000);
  expect(before.handles).toMatchObject({ TCPServerWrap: 1 });
  await stack.connect().registry.listServices({});
  const after = await memoryOf(pulse);
  expect(after.handles.TCPSocketWrap).toBe((before.handles.TCPSocketWrap ?? 0) + 1);
  // Its socket and its session, where they can be counted.
  if (before.emitters) expect(after.emitters).toBeGreaterThanOrEqual(before.emitters + 2);
});
