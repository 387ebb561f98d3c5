import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { monotonicNow } from "../support/members.js";
import { HAUL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";

it("#1 Pulse back with an empty store: everybody registers anew with the same ids", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
  const members = await stack.startMembers({ count: 20, token });
  await members.areRegistered();
  const idsByName = async () =>
    [...(await stack.entries())].map(([name, { id }]) => `${name} ${id}`).sort();
  const before = await idsByName();
  expect(before).toHaveLength(20);

  pulse.kill("SIGKILL");
  await pulse.exit;
  await rm(stack.dataDirectory, { recursive: true });
  const killedAt = monotonicNow();
  await stack.startPulse();
  const back = await members.each("reconnected", killedAt, 30_000);
  expect(back.filter(({ registeredAnew }) => !registeredAnew)).toEqual([]);
  expect(back.map(({ member, instanceId }) => member === instanceId)).not.toContain(false);
  expect(await idsByName()).toEqual(before);
});

it("#25 a process that stood still for longer than its TTL is back at once, and nobody else is touched", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await stack.startPulse();
  const stopped = await stack.startMembers({ prefix: "stopped", count: 2, ttlMs: 5_000 });
  const others = await stack.startMembers({ prefix: "other", count: 5, ttlMs: 5_000 });
  await stopped.areRegistered();
  await others.areRegistered();
  stopped.program.kill("SIGSTOP");
  await sleep(7_000);
  await stack.entryIs("stopped-0", "OFFLINE");
  const wokenAt = monotonicNow();
  stopped.program.kill("SIGCONT");
  const back = await stopped.each("reconnected", wokenAt);
  expect(Math.max(...back.map(({ at }) => at - wokenAt))).toBeLessThan(5_000);
  await stack.entryIs("stopped-0", "ONLINE");
  await stack.entryIs("stopped-1", "ONLINE");
  for (const name of others.names) {
    const events = others.events(name);
    expect(events.map(({ type }) => type)).toEqual(["registered"]);
    const reasons = await stack.reasons(events[0]?.serviceId ?? "");
    expect([...new Set(reasons)]).toEqual(["registered"]);
  }
});

describeStacks("the same Register", (create) => {
  it("#24 twice at once, from two connections, is one registration and one entry", async () => {
    const stack = await create();
    onTestFinished(() => stack.stop());
    await stack.startPulse();
    const [one, two] = [stack.connect(), stack.connect()];
    const replies = await Promise.all([one.registry.register(HAUL), two.registry.register(HAUL)]);
    expect(new Set(replies.map(({ service }) => service?.id)).size).toBe(1);
    expect(new Set(replies.map(({ downloadClient }) => downloadClient?.id)).size).toBe(1);
    expect(replies.map(({ generation }) => generation).sort()).toEqual([1n, 2n]);
    expect((await one.registry.listServices({})).services).toHaveLength(1);
    expect((await stack.entries()).size).toBe(1);
  });
});
