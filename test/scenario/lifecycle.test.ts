import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HAUL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";

// Real processes, real time: what a user sees when something is killed.

/** A Haul that registers itself needs no download client. */
const ALONE = { PATH: "" };

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

const secondsSince = (start: number) => (performance.now() - start) / 1_000;

describe("a Haul", () => {
  it("killed with SIGKILL is OFFLINE within the grace, and back by itself with its next start", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul("haul", [], ALONE);
    const before = await stack.entryIs("haul", "ONLINE");
    await stack.hasHeartbeat(before.serviceId);
    haul.kill("SIGKILL");
    const killed = performance.now();
    const offline = await stack.entryIs("haul", "OFFLINE");
    expect(offline.availabilityReason).toBe("disconnected");
    expect(secondsSince(killed)).toBeLessThan(6);

    await stack.startHaul("haul", [], ALONE);
    const back = await stack.entryIs("haul", "ONLINE");
    expect([back.id, back.name]).toEqual([before.id, before.name]);
    expect((await stack.entries()).size).toBe(1);
  });

  it("that is told to stop says goodbye and is OFFLINE at once", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul("haul", [], ALONE);
    await stack.entryIs("haul", "ONLINE");
    expect(await haul.stop()).toEqual({ code: 0, signal: null });
    expect((await stack.entries()).get("haul")?.availabilityReason).toBe("goodbye");
  });

  it("started before Pulse serves at once, and attaches when Pulse comes", async () => {
    const haul = await stack.startHaul("haul", [], ALONE);
    const { url } = await haul.line("haul.listening");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await stack.startPulse();
    await haul.line("haul.registered");
    await stack.entryIs("haul", "ONLINE");
  });

  it("with the same name as another is another instance with an entry of its own", async () => {
    await stack.startPulse();
    await stack.startHaul("one", [], ALONE);
    await stack.entryIs("haul", "ONLINE");
    await stack.startHaul("two", [], ALONE);
    const second = await stack.entryIs("haul-2", "ONLINE");
    const first = await stack.entryIs("haul", "ONLINE");
    expect(first.serviceId).not.toBe(second.serviceId);
  });
});

describe("Pulse", () => {
  it("killed right after an acknowledged Register keeps it", async () => {
    const pulse = await stack.startPulse();
    const { registry } = stack.connect();
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        registry.register({ ...HAUL, instanceId: `instance-${n}` }),
      ),
    );
    pulse.kill("SIGKILL");
    await pulse.exit;
    await stack.startPulse();
    const entries = [...(await stack.entries()).values()];
    expect(entries.map(({ id }) => id).sort()).toEqual(
      replies.map(({ downloadClient }) => downloadClient?.id).sort(),
    );
    expect(entries.every(({ password }) => password === HAUL.serviceApiKey)).toBe(true);
  });

  it("killed and started again has every Haul back without a new registration", async () => {
    const pulse = await stack.startPulse();
    const haul = await stack.startHaul("haul", [], ALONE);
    const before = await stack.entryIs("haul", "ONLINE");
    const { registry } = stack.connect();
    const generation = async () => (await registry.listServices({})).services[0]?.generation;
    expect(await generation()).toBe(1n);
    pulse.kill("SIGKILL");
    await pulse.exit;
    await stack.startPulse();
    await haul.line("haul.reconnected");
    const after = await stack.entryIs("haul", "ONLINE");
    expect([after.id, await generation()]).toEqual([before.id, 1n]);
  });

  it("back with an empty data directory gets every Haul back, with its instance id", async () => {
    const pulse = await stack.startPulse();
    const hauls = [
      await stack.startHaul("one", ["--name", "one"], ALONE),
      await stack.startHaul("two", ["--name", "two"], ALONE),
    ];
    for (const haul of hauls) await haul.line("haul.registered");
    const ids = async () =>
      (await stack.connect().registry.listServices({})).services
        .map(({ instanceId }) => instanceId)
        .sort();
    const before = await ids();
    expect(before).toHaveLength(2);

    pulse.kill("SIGKILL");
    await pulse.exit;
    await rm(stack.dataDirectory, { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, 4_000)); // the backoff has grown by then
    await stack.startPulse();
    const returned = performance.now();
    const back = hauls.map((haul) => haul.line("haul.reconnected"));
    for (const line of await Promise.all(back)) expect(line.registeredAnew).toBe(true);
    expect(secondsSince(returned)).toBeLessThan(5);
    expect(await ids()).toEqual(before);
    await stack.entryIs("one", "ONLINE");
    await stack.entryIs("two", "ONLINE");
  });

  it("told to stop drains: streams are told, and it ends with 0 within 10 s", async () => {
    const pulse = await stack.startPulse();
    const haul = await stack.startHaul("haul", [], ALONE);
    await haul.line("haul.registered");
    const asked = performance.now();
    expect(await pulse.stop()).toEqual({ code: 0, signal: null });
    expect(secondsSince(asked)).toBeLessThan(10);
    await stack.startPulse();
    await haul.line("haul.reconnected");
  });
});

it("no secret shows in a log, a process title or a file that others may read", async () => {
  const pulse = await stack.startPulse();
  const haul = await stack.startHaul("haul", [], ALONE);
  await stack.entryIs("haul", "ONLINE");
  const secrets = [
    (await readFile(join(stack.group.directory, "haul", "api.key"), "utf8")).trim(),
    await stack.token("service"),
    await stack.token("admin"),
  ];
  const identity = await readFile(join(stack.group.directory, "haul", "instance.json"), "utf8");
  secrets.push(JSON.parse(identity).instanceSecret);
  for (const program of [pulse, haul]) {
    const title = await readFile(`/proc/${program.pid}/cmdline`, "utf8");
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(15);
      expect(program.stdout + program.stderr + title).not.toContain(secret);
    }
  }
});
