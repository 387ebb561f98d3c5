import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { it, type TestContext } from "vitest";
import { registerWithRetry } from "../../src/client/index.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { type Members, monotonicNow, slowestMs } from "../support/members.js";
import { MovingPulse } from "../support/moving-pulse.js";
import { soak } from "../support/soak.js";
import { Stack } from "../support/stack.js";

// Waits of minutes, with the times that users have. They wait together: each has its own Pulse.

/** A Haul that registers itself. */
const ALONE = { PATH: "" };

async function newStack({ onTestFinished }: TestContext): Promise<Stack> {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  return stack;
}

const AWAY_MS = soak(60_000, 20_000);
it.concurrent(`#2 Pulse away for ${AWAY_MS / 1_000} s has everybody back within 30 s, and no process began anew`, async (context) => {
  const { expect } = context;
  const stack = await newStack(context);
  const pulse = await stack.startPulse();
  const members = await stack.startMembers({ count: 20 });
  const hauls = [
    await stack.startHaul("one", ["--name", "one"], ALONE),
    await stack.startHaul("two", ["--name", "two"], ALONE),
  ];
  await members.areRegistered();
  for (const haul of hauls) await haul.line("haul.registered");
  pulse.kill("SIGKILL");
  await pulse.exit;
  await sleep(AWAY_MS);
  const startedAt = monotonicNow();
  await stack.startPulse();
  const returnedAt = monotonicNow();
  const returnedWallAt = Date.now();
  const back = await members.each("reconnected", startedAt, 35_000);
  const tookMs = [slowestMs(back, returnedAt)];
  for (const haul of hauls) {
    const { time } = await haul.line("haul.reconnected", 0, 35_000);
    tookMs.push(Date.parse(String(time)) - returnedWallAt);
  }
  for (const name of ["one", "two", ...members.names]) await stack.entryIs(name, "ONLINE");
  for (const haul of hauls) expect(timesSaid(haul.lines, "haul.listening")).toBe(1);
  expect(timesSaid(members.program.lines, "members.started")).toBe(1);
  const what = `back after ${AWAY_MS / 1_000} s without Pulse, slowest of 22, s`;
  figure(2, what, Math.max(...tookMs) / 1_000);
  expect(Math.max(...tookMs)).toBeLessThanOrEqual(30_000);
});

it.concurrent("#3 without Pulse a program is told after 120 s that it goes on alone, and attached when Pulse appears", async (context) => {
  const { expect } = context;
  const stack = await newStack(context);
  const haulStartedAt = Date.now();
  const haul = await stack.startHaul("haul", [], ALONE);
  const { url } = await haul.line("haul.listening");
  const servedMs = Date.now() - haulStartedAt;

  const startedAt = performance.now();
  const registration = await registerWithRetry({
    pulse: stack.url,
    token: () => stack.token(), // its file is not there before Pulse is
    service: { name: "own", type: "example", apiUrl: "http://127.0.0.1:9" },
    identity: { instanceId: "own", instanceSecret: "a secret of 16 or more" },
  });
  context.onTestFinished(() => registration.close());
  const waitedMs = performance.now() - startedAt;
  expect(registration.state).toBe("standalone");
  const { time } = await haul.line("haul.standalone");
  const haulWaitedMs = Date.parse(String(time)) - haulStartedAt - servedMs;
  figure(3, "registerWithRetry goes on alone after, s", waitedMs / 1_000);
  figure(3, "a Haul goes on alone after, from when it serves, s", haulWaitedMs / 1_000);
  for (const ms of [waitedMs, haulWaitedMs]) {
    expect(ms).toBeGreaterThan(120_000 * 0.95);
    expect(ms).toBeLessThan(120_000 * 1.05);
  }
  expect((await fetch(`${url}/health`)).status).toBe(200);

  await stack.startPulse();
  await haul.line("haul.registered");
  await eventually(() => expect(registration.state).toBe("registered"));
});

const BAD_MS = soak(170_000, 10_000);
it.concurrent("#22 a bad token is said once and at once, asked with seldom, and counts within a minute once it is mended", async (context) => {
  const { expect } = context;
  const stack = await newStack(context);
  await stack.startPulse();
  const file = join(stack.group.directory, "mended-later.token");
  await writeFile(file, `${await stack.token()}x`);
  const members = await stack.startMembers({ count: 10, token: { file } });
  const { at: startedAt } = await members.program.line("members.started");
  const haul = await stack.startHaul("haul", [], { ...ALONE, PULSE_TOKEN_FILE: file });
  await haul.line("haul.rejected");
  const saidMs = slowestMs(await members.each("rejected", 0), Number(startedAt));
  figure(22, "rejected is said after the start, slowest of 10, s", saidMs / 1_000);
  expect(saidMs).toBeLessThan(5_000);

  await sleep(BAD_MS);
  for (const name of members.names) {
    expect(members.events(name).filter(({ type }) => type === "rejected")).toHaveLength(1);
    expect(members.attemptsAt(name).length).toBeLessThanOrEqual(1 + BAD_MS / 50_000);
  }
  expect(timesSaid(haul.lines, "haul.rejected")).toBe(1);
  const calls = members.names.map((name) => members.attemptsAt(name).length);
  figure(
    22,
    `calls of one client in ${BAD_MS / 1_000} s with a bad token, most`,
    Math.max(...calls),
  );

  await writeFile(file, await stack.token());
  const mendedAt = monotonicNow();
  const mendedWallAt = Date.now();
  const back = await members.each("registered", mendedAt, 65_000);
  const { time } = await haul.line("haul.registered", 0, 65_000);
  const tookMs = Math.max(slowestMs(back, mendedAt), Date.parse(String(time)) - mendedWallAt);
  figure(22, "attached after the token was mended, slowest of 11, s", tookMs / 1_000);
  expect(tookMs).toBeLessThanOrEqual(60_000);
});

const STOPPED_MS = soak(600_000, 25_000);
it.concurrent(`#25 processes that stood still for ${STOPPED_MS / 1_000} s are back within 5 s, and nobody else is touched`, async (context) => {
  const { expect } = context;
  const stack = await newStack(context);
  await stack.startPulse();
  const proxy = await FaultProxy.open(stack.port);
  context.onTestFinished(() => proxy.close());
  const stopped = await stack.startMembers({ prefix: "stopped", count: 3, port: proxy.port });
  const way = ["--pulse", `http://127.0.0.1:${proxy.port}`];
  const haul = await stack.startHaul("haul", way, ALONE);
  const others = await stack.startMembers({ prefix: "other", count: 10 });
  await stopped.areRegistered();
  await haul.line("haul.registered");
  await others.areRegistered();
  for (const program of [stopped.program, haul]) program.kill("SIGSTOP");
  proxy.forget(); // as a router does with who is silent: heartbeats on that connection get no answer
  await sleep(STOPPED_MS);
  for (const name of ["haul", ...stopped.names]) await stack.entryIs(name, "OFFLINE");
  const wokenAt = monotonicNow();
  const wokenWallAt = Date.now();
  for (const program of [stopped.program, haul]) program.kill("SIGCONT");
  const back = await stopped.each("reconnected", wokenAt);
  const { time } = await haul.line("haul.reconnected");
  const tookMs = Math.max(slowestMs(back, wokenAt), Date.parse(String(time)) - wokenWallAt);
  figure(25, `back after a process stood still for ${STOPPED_MS / 1_000} s, ms`, tookMs);
  expect(tookMs).toBeLessThanOrEqual(5_000);
  for (const name of ["haul", ...stopped.names]) await stack.entryIs(name, "ONLINE");
  await areUntouched(context, stack, others);
});

it.concurrent("#26 an address that vanished without a word is left as soon as that is noticed", async (context) => {
  const { expect } = context;
  const stack = await newStack(context);
  const address = await FaultProxy.open(stack.port);
  context.onTestFinished(() => address.close());
  const move = await MovingPulse.start(stack, address.port, { count: 10 });
  const vanishedAt = monotonicNow();
  await address.blackhole();
  await move.appearElsewhere();
  await move.rename();
  const lost = await move.members.each("disconnected", vanishedAt, 20_000);
  const noticedMs = slowestMs(lost, vanishedAt);
  const tookMs = await move.reattachedMs(vanishedAt);
  figure(26, "reattached after the old address has vanished, TTL 15 s, s", tookMs / 1_000);
  figure(26, "of which until it was noticed, TTL 15 s, s", noticedMs / 1_000);
  expect(tookMs - noticedMs).toBeLessThanOrEqual(10_000);
});

async function areUntouched({ expect }: TestContext, stack: Stack, members: Members) {
  for (const name of members.names) {
    const events = members.events(name);
    expect(events.map(({ type }) => type)).toEqual(["registered"]);
    const reasons = await stack.reasons(events[0]?.serviceId ?? "");
    expect([...new Set(reasons)]).toEqual(["registered"]);
  }
}

function timesSaid(lines: readonly Readonly<Record<string, unknown>>[], msg: string): number {
  return lines.filter((line) => line.msg === msg).length;
}
