import { it, type TestContext } from "vitest";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { MovingPulse } from "../support/moving-pulse.js";
import { Stack } from "../support/stack.js";

const COUNT = 5;

async function newStack({ onTestFinished }: TestContext): Promise<Stack> {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  return stack;
}

/** What stands at the old address, and can become silent. */
async function oldAddress({ onTestFinished }: TestContext, stack: Stack): Promise<FaultProxy> {
  const proxy = await FaultProxy.open(stack.port);
  onTestFinished(() => proxy.close());
  return proxy;
}

it.concurrent("#26 a name that moves has everybody reattached within 10 s", async (context) => {
  const stack = await newStack(context);
  const move = await MovingPulse.start(stack, stack.port, { count: COUNT });
  await move.appearElsewhere();
  const tookMs = await move.reattachedMs(await move.rename());
  figure(26, "reattached after the name has moved; the old address refuses, s", tookMs / 1_000);
  context.expect(tookMs).toBeLessThanOrEqual(10_000);
}, 40_000);

it.concurrent("#26 so does one whose old address says nothing to who dials it", async (context) => {
  const stack = await newStack(context);
  const address = await oldAddress(context, stack);
  const move = await MovingPulse.start(stack, address.port, { count: COUNT });
  await address.blackhole();
  await move.appearElsewhere();
  const before = address.accepted;
  address.reset();
  // The worst moment: all of them have just begun to wait for the old address.
  await eventually(() => {
    if (address.accepted < before + COUNT) throw new Error("not all have dialled");
  });
  const tookMs = await move.reattachedMs(await move.rename());
  figure(26, "reattached after the name has moved; the old address is silent, s", tookMs / 1_000);
  context.expect(tookMs).toBeLessThanOrEqual(10_000);
}, 40_000);

it.concurrent("#26 so does one whose old address vanished without a word to those connected", async (context) => {
  const stack = await newStack(context);
  const address = await oldAddress(context, stack);
  const move = await MovingPulse.start(stack, address.port, { count: COUNT, ttlMs: 5_000 });
  const vanishedAt = monotonicNow();
  await address.blackhole();
  await move.appearElsewhere();
  await move.rename();
  const tookMs = await move.reattachedMs(vanishedAt);
  figure(26, "reattached after the old address has vanished, TTL 5 s, s", tookMs / 1_000);
  context.expect(tookMs).toBeLessThanOrEqual(10_000);
}, 40_000);
