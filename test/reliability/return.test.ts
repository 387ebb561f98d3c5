import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { HAUL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";

const COUNT = 12;

/** Proxies in front of Pulse, so that it is known when whose connection has come up. */
async function openProxies(stack: Stack, count: number): Promise<FaultProxy[]> {
  const ports = Array.from({ length: count }, () => stack.port);
  const proxies = await Promise.all(ports.map((port) => FaultProxy.open(port)));
  onTestFinished(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
  return proxies;
}

/**
 * Members and a Haul lose their Pulse and find one that knows none of them. `empty`
 * takes its store away, and returns with what the next Pulse is started.
 */
async function findsAnEmptyPulse(
  stack: Stack,
  engine: string,
  empty: () => Promise<Record<string, string>>,
): Promise<void> {
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const proxies = await openProxies(stack, COUNT + 1);
  const [port, ...ports] = proxies.map((proxy) => proxy.port);
  const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
  const haul = await stack.startHaul("haul", ["--pulse", `http://127.0.0.1:${port}`], { PATH: "" });
  const members = await stack.startMembers({ count: COUNT, port: ports, token });
  await members.areRegistered();
  await haul.line("haul.registered");
  const ids = async () =>
    [...(await stack.entries())].map(([name, { id }]) => `${name} ${id}`).sort();
  const instances = async () =>
    (await stack.connect().registry.listServices({})).services.map((one) => one.instanceId).sort();
  const before = [await ids(), await instances()];
  expect(before[0]).toHaveLength(COUNT + 1);

  await Promise.all(proxies.map((proxy) => proxy.cut()));
  pulse.kill("SIGKILL");
  await pulse.exit;
  await stack.startPulse(await empty());
  const returnedAt = monotonicNow();
  await Promise.all(proxies.map((proxy) => proxy.restore()));
  const back = await members.each("reconnected", returnedAt, 30_000);
  const haulBack = await haul.line("haul.reconnected");
  expect([...back, haulBack].filter(({ registeredAnew }) => !registeredAnew)).toEqual([]);
  expect([await ids(), await instances()]).toEqual(before);

  const sinceStart = monotonicNow() - performance.now();
  const [haulUpAt = 0, ...upAt] = proxies.map(({ acceptedAt }) => acceptedAt.at(-1) ?? 0);
  const tookMs = back.map(({ member, at }) => {
    const own = upAt[members.names.indexOf(member)] ?? 0;
    return at - (own + sinceStart);
  });
  tookMs.push(Date.parse(String(haulBack.time)) - (performance.timeOrigin + haulUpAt));
  const slowestMs = Math.max(...tookMs);
  figure(
    1,
    `from the connection to the new registration, slowest of ${COUNT + 1}, ${engine}, ms`,
    slowestMs,
  );
  expect(slowestMs).toBeLessThanOrEqual(1_000);
}

describe("Pulse back with an empty store", () => {
  const title = "#1 has everybody registered anew within 1 s of its connection, with the same ids";

  it(`${title}, on SQLite`, async () => {
    const stack = await Stack.create();
    await findsAnEmptyPulse(stack, "SQLite", async () => {
      await rm(stack.dataDirectory, { recursive: true });
      return {};
    });
  }, 40_000);

  describePostgres("on PostgreSQL", () => {
    it(`${title}, on PostgreSQL`, async () => {
      const stack = await Stack.create({ database: (await createDatabase()).url });
      await findsAnEmptyPulse(stack, "PostgreSQL", async () => ({
        PULSE_DATABASE: (await createDatabase()).url,
      }));
    }, 40_000);
  });
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
