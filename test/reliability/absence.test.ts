import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "libsql";
import { it } from "vitest";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { type MemberEvent, monotonicNow, slowestMs } from "../support/members.js";
import { SilentServer } from "../support/silent-server.js";
import { Stack } from "../support/stack.js";

// For a while there is no Pulse, no database that can be written, or the program itself
// stands still. These wait most of their time, so they do it together.

const STANDALONE_MS = 3_000;
/** A heartbeat into a dead connection is given up only after 5.3 s. */
const STOPPED_TTL_MS = 8_000;

it.concurrent("#3 without Pulse programs serve at once, go on alone when told to, and attach when Pulse appears", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await (await stack.startPulse()).stop(); // so that the tokens are there
  // What stands in its place answers nothing, so that a first attempt takes its 10 s.
  const silent = await SilentServer.start(stack.port);
  onTestFinished(() => silent.close());

  const startedAt = performance.now();
  const haul = await stack.startHaul("haul", [], { PATH: "" });
  const { url } = await haul.line("haul.listening");
  expect((await fetch(`${url}/health`)).status).toBe(200);
  const servesMs = performance.now() - startedAt;
  expect(haul.lines.map(({ msg }) => msg)).not.toContain("haul.attempt-failed");

  const members = await stack.startMembers({ count: 5, standaloneAfterMs: STANDALONE_MS });
  const alone = await members.each("standalone", 0);
  const { at: begunAt } = await members.program.line("members.started");
  const afterMs = alone.map(({ at }) => at - Number(begunAt));
  expect(Math.min(...afterMs)).toBeGreaterThan(STANDALONE_MS - 200);
  expect(Math.max(...afterMs)).toBeLessThan(STANDALONE_MS + 1_000);

  await silent.close();
  await stack.startPulse();
  const appearedAt = monotonicNow();
  await haul.line("haul.registered");
  await members.areRegistered();
  const attachedMs = slowestMs([...members.newest().values()], appearedAt);
  for (const name of ["haul", ...members.names]) await stack.entryIs(name, "ONLINE");
  figure(3, "a Haul without Pulse serves its API after its start, s", servesMs / 1_000);
  figure(3, "attached after Pulse appeared, slowest of 5, s", attachedMs / 1_000);
}, 60_000);

it.concurrent("#6 re-registrations that the database refuses once, and again, are tried until they succeed", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const proxy = await FaultProxy.open(stack.port);
  onTestFinished(() => proxy.close());
  const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
  const members = await stack.startMembers({ count: 6, port: proxy.port, token });
  await members.areRegistered();
  const ids = async () =>
    [...(await stack.entries())].map(([name, { id }]) => `${name} ${id}`).sort();
  const before = await ids();
  expect(before).toHaveLength(6);

  await proxy.cut();
  pulse.kill("SIGKILL");
  await pulse.exit;
  await rm(stack.dataDirectory, { recursive: true });
  await stack.startPulse();
  const other = new Database(join(stack.dataDirectory, "pulse.db"));
  onTestFinished(() => void other.close());
  other.exec("begin immediate"); // another program holds it
  await proxy.restore();
  const isRefusal = ({ type, error }: MemberEvent) =>
    type === "attempt-failed" && error?.includes("database");
  await eventually(() => {
    for (const name of members.names)
      if (members.events(name).filter(isRefusal).length < 2)
        throw new Error(`${name} was not refused twice`);
  }, 20_000);
  expect(await ids()).toEqual([]);
  other.exec("rollback");
  const mendedAt = monotonicNow();
  const back = await members.each("reconnected", mendedAt, 30_000);
  expect(back.filter(({ registeredAnew }) => !registeredAnew)).toEqual([]);
  expect(await ids()).toEqual(before);
  const tookMs = slowestMs(back, mendedAt);
  figure(6, "registered after two refusals and the mending, slowest of 6, s", tookMs / 1_000);
}, 60_000);

it.concurrent("#25 a process that stood still for longer than its TTL is back at once, and nobody else is touched", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await stack.startPulse();
  const proxy = await FaultProxy.open(stack.port);
  onTestFinished(() => proxy.close());
  const stopped = await stack.startMembers({
    prefix: "stopped",
    count: 2,
    ttlMs: STOPPED_TTL_MS,
    port: proxy.port,
  });
  const others = await stack.startMembers({ prefix: "other", count: 5, ttlMs: 5_000 });
  await stopped.areRegistered();
  await others.areRegistered();
  stopped.program.kill("SIGSTOP");
  const stoppedAt = monotonicNow();
  proxy.forget(); // as a router does with who is silent: heartbeats on that connection get no answer
  for (const name of stopped.names) await stack.entryIs(name, "OFFLINE", 15_000);
  await sleep(Math.max(0, stoppedAt + 11_000 - monotonicNow())); // its TTL, and an interval
  const wokenAt = monotonicNow();
  stopped.program.kill("SIGCONT");
  const tookMs = slowestMs(await stopped.each("reconnected", wokenAt), wokenAt);
  figure(25, "back after a process stood still for 11 s, TTL 8 s, ms", tookMs);
  expect(tookMs).toBeLessThanOrEqual(5_000);
  for (const name of stopped.names) await stack.entryIs(name, "ONLINE");
  for (const name of others.names) {
    const events = others.events(name);
    expect(events.map(({ type }) => type)).toEqual(["registered"]);
    const reasons = await stack.reasons(events[0]?.serviceId ?? "");
    expect([...new Set(reasons)]).toEqual(["registered"]);
  }
}, 60_000);
