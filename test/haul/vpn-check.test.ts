import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { createVpnCheck, type RunningCommand, type VpnCheck } from "../../src/haul/vpn-check.js";
import { systemClock } from "../../src/lib/clock.js";
import { eventually } from "../support/eventually.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const ENVIRONMENT = { PATH: process.env.PATH };

let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
/** Commands that have been started, with what ends each of them. */
let started: { readonly end: (code?: number) => void; isKilled: boolean }[];
let check: VpnCheck;

/** One that runs until the test ends it, and that dies when it is killed. */
function start(): RunningCommand {
  const { promise, resolve } = withResolvers();
  const command = { end: resolve, isKilled: false };
  started.push(command);
  return {
    ended: promise,
    kill() {
      command.isKilled = true;
      resolve(undefined);
    },
  };
}

function withResolvers() {
  let resolve: (code: number | undefined) => void = () => {};
  const promise = new Promise<number | undefined>((each) => {
    resolve = each;
  });
  return { promise, resolve: (code?: number) => resolve(code) };
}

beforeEach(() => {
  clock = new ManualClock();
  log = recordingLog();
  started = [];
  check = createVpnCheck({ command: "x", environment: {}, clock, log, start });
});

async function runTo(code: number | undefined): Promise<string> {
  const run = check.run();
  started.at(-1)?.end(code);
  return run;
}

describe("what the command says", () => {
  it("is not known before its first end", async () => {
    expect(check.state).toBe("unknown");
    check.run();
    expect(check.state).toBe("unknown");
    started[0]?.end(0);
    await settle();
    expect(check.state).toBe("up");
  });

  it.each([
    [0, "up"],
    [1, "down"],
    [127, "down"],
    [undefined, "down"],
  ])("exit code %s is %s", async (code, expected) => {
    expect(await runTo(code)).toBe(expected);
    expect(check.state).toBe(expected);
    expect(log.lines).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe("a command that does not end", () => {
  it("is killed after 5 s and is down, which is logged once", async () => {
    for (let i = 0; i < 3; i++) {
      const run = check.run();
      await clock.advance(4_999);
      expect(started[i]?.isKilled).toBe(false);
      await clock.advance(1);
      expect(started[i]?.isKilled).toBe(true);
      expect(await run).toBe("down");
    }
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]?.fields).toEqual({
      detail:
        "vpn_check did not end within 5 s and was killed: the VPN counts as down until it does",
    });
  });

  it("is logged anew when it has ended in time in between", async () => {
    for (const isLate of [true, false, true]) {
      const run = check.run();
      if (isLate) await clock.advance(5_000);
      else started.at(-1)?.end(0);
      await run;
    }
    expect(log.lines).toHaveLength(2);
  });

  it("holds up nobody though nothing can kill it, and no other is started", async () => {
    const immortal = createVpnCheck({
      command: "x",
      environment: {},
      clock,
      log,
      start: () => ({ ...start(), kill: () => {} }),
    });
    const run = immortal.run();
    await clock.advance(5_000);
    expect([await run, await immortal.run(), immortal.state]).toEqual(["down", "down", "down"]);
    await immortal.stop();
    expect(started).toHaveLength(1);
  });
});

it("never runs twice at once", async () => {
  const runs = [check.run(), check.run()];
  expect(started).toHaveLength(1);
  started[0]?.end(0);
  expect(await Promise.all(runs)).toEqual(["up", "up"]);
  check.run();
  expect(started).toHaveLength(2);
});

it("that cannot be started is down, which is logged once and without the command", async () => {
  const broken = createVpnCheck({
    command: "curl http://user:secret@gateway",
    environment: {},
    clock,
    log,
    start: () => ({
      ended: Promise.reject(Object.assign(new Error("spawn"), { code: "EAGAIN" })),
      kill: () => {},
    }),
  });
  expect([await broken.run(), await broken.run()]).toEqual(["down", "down"]);
  expect(log.lines).toHaveLength(1);
  expect(JSON.stringify(log.lines)).toContain("cannot be started (EAGAIN)");
  expect(JSON.stringify(log.lines)).not.toContain("secret");
  expect(clock.pending).toBe(0);
});

describe("stopped", () => {
  it("in the middle it kills the command, and what was known stays", async () => {
    await runTo(0);
    check.run();
    await check.stop();
    expect(started[1]?.isKilled).toBe(true);
    expect(check.state).toBe("up");
    expect(clock.pending).toBe(0);
  });

  it("it begins no more", async () => {
    await check.stop();
    await check.run();
    expect(started).toHaveLength(0);
  });
});

describe("a real shell", () => {
  const real = (command: string, environment: Record<string, string | undefined> = ENVIRONMENT) =>
    createVpnCheck({ command, environment, clock: systemClock, log });

  it("tells by its exit code, whatever it writes", async () => {
    expect(await real("echo much; echo more >&2; exit 0").run()).toBe("up");
    expect(await real("test -d /sys/class/net/no-such-interface").run()).toBe("down");
    expect(await real("no-such-program-anywhere").run()).toBe("down");
    expect(await real("kill -9 $$").run()).toBe("down");
  });

  it("sees the environment that it was given, and nothing else", async () => {
    process.env.HAUL_VPN_TEST = "1";
    expect(
      await real('test -z "$HAUL_VPN_TEST" && test "$GIVEN" = yes', { GIVEN: "yes" }).run(),
    ).toBe("up");
    delete process.env.HAUL_VPN_TEST;
  });

  it("is killed with all that it has started", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "vpn-check-")), "pid");
    const slow = createVpnCheck({
      command: `sleep 1000 & echo $! > '${file}'; wait`,
      environment: ENVIRONMENT,
      clock,
      log,
    });
    const run = slow.run();
    const pid = await eventually(async () => {
      const text = await readFile(file, "utf8");
      expect(text).toMatch(/^\d+\n$/);
      return Number(text);
    });
    expect(() => process.kill(pid, 0)).not.toThrow();
    await clock.advance(5_000);
    expect(await run).toBe("down");
    await eventually(async () => expect(await isRunning(pid)).toBe(false));
  });
});

/** A zombie that nobody has waited for does not run. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z");
  return !/\) Z/.test(stat);
}
