import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";

let group: ProgramGroup;
let env: Record<string, string>;

beforeEach(async () => {
  group = await createProgramGroup();
  env = {
    PULSE_LISTEN: "127.0.0.1:0",
    PULSE_DATA: join(group.directory, "pulse"),
    HAUL_LISTEN: "127.0.0.1:0",
    HAUL_DATA: join(group.directory, "haul"),
  };
});

afterEach(() => group.stop());

const haulPid = (stdout: string) => Number([...stdout.matchAll(/"kill (\d+)"/g)].at(-1)?.[1]);

/** A process that has ended may stay in the table as a zombie until someone asks for its exit code. */
async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return status !== "" && !/^State:\s+Z/m.test(status);
}

test("one terminal shows Haul register, vanish when killed and come back by itself as the same service", async () => {
  const start = group.start("start", [], env);
  await start.output(/Download clients\n.*\n *haul .* online/s);
  for (const path of [
    "tokens/service.token",
    "tokens/admin.token",
    "logs/pulse.log",
    "logs/haul.log",
  ])
    expect(start.stdout).toContain(join(env.PULSE_DATA ?? "", path));
  const first = haulPid(start.stdout);
  const serviceId = /haul +download-client .* (\S+)$/m.exec(start.stdout)?.[1] ?? "";
  expect(serviceId).not.toBe("");

  let seen = start.stdout.length;
  process.kill(first, "SIGKILL");
  await start.output(/Download clients\n.*\n *haul .* offline/s, seen);

  seen = start.stdout.length;
  await start.output(/Download clients\n.*\n *haul .* online/s, seen);
  expect(haulPid(start.stdout)).not.toBe(first);
  expect(start.stdout.slice(seen)).toMatch(
    new RegExp(`haul +download-client .* online .* ${serviceId}$`, "m"),
  );

  const secret = (
    await readFile(join(env.PULSE_DATA ?? "", "tokens", "service.token"), "utf8")
  ).trim();
  expect(start.stdout).not.toContain(secret);
}, 40_000);

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s ends both programs and itself with 0",
  async (signal) => {
    const start = group.start("start", [], env);
    await start.output(/"kill \d+"/);
    const pids = [...start.stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
    expect(pids).toHaveLength(2);
    start.kill(signal);
    expect(await start.exit).toEqual({ code: 0, signal: null });
    for (const pid of pids) expect(await isRunning(pid)).toBe(false);
  },
);

test("killed itself, it leaves neither program behind", async () => {
  const start = group.start("start", [], env);
  await start.output(/"kill \d+"/);
  const pids = [...start.stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
  start.kill("SIGKILL");
  await expect
    .poll(async () => (await Promise.all(pids.map(isRunning))).includes(true), { timeout: 10_000 })
    .toBe(false);
});

test("if Pulse cannot start, its one sentence is shown and the exit code is 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as { port: number };
  const { code, stderr, stdout } = await group.run("start", [], {
    ...env,
    PULSE_LISTEN: `127.0.0.1:${port}`,
  });
  taken.close();
  expect(code).toBe(1);
  expect(stderr).toMatch(/^npm start: Pulse did not start: [^\n]+\n$/);
  expect(stderr).toContain(String(port));
  expect(stdout).toBe("");
});

test("if Haul cannot start, Pulse is ended too", async () => {
  const { code, stderr } = await group.run("start", [], { ...env, HAUL_KIND: "aria2" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^npm start: Haul did not start: [^\n]*--url[^\n]*\n$/);
  expect(await readFile(join(env.PULSE_DATA ?? "", "logs", "pulse.log"), "utf8")).toContain(
    "stopped",
  );
});

test("with TLS in Pulse, Haul and the tables find its authority by themselves, on all addresses too", async () => {
  await group.run("pulse", ["tls", "init"], env);
  const start = group.start("start", [], { ...env, PULSE_LISTEN: "0.0.0.0:0" });
  await start.output(/Pulse +https:\/\/0\.0\.0\.0:\d+ .*Download clients\n.*\n *haul .* online/s);
  expect(await readFile(join(env.PULSE_DATA ?? "", "logs", "haul.log"), "utf8")).toMatch(
    /"pulse":"https:\/\/127\.0\.0\.1:\d+".*haul\.registered/,
  );
}, 40_000);
