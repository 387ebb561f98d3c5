import { beforeEach, expect, test } from "vitest";
import type { ChildProgram } from "../../src/cli/child-program.js";
import { supervise } from "../../src/cli/supervisor.js";
import { ManualClock, settle } from "../support/manual-clock.js";

let clock: ManualClock;
let runs: FakeRun[];

beforeEach(() => {
  clock = new ManualClock();
  runs = [];
});

/** A program that is ready and ends when the test says so. */
class FakeRun implements ChildProgram {
  readonly pid = 101 + runs.length;
  becomeReady: () => void = () => {};
  end: (reason: string) => void = () => {};
  readonly ended = new Promise<string>((resolve) => {
    this.end = resolve;
  });
  readonly ready = new Promise<string>((resolve, reject) => {
    this.becomeReady = () => resolve("http://127.0.0.1:1");
    this.ended.then((reason) => reject(new Error(reason)));
  });

  async stop() {
    this.end("told to");
  }
}

function start(): FakeRun {
  const run = new FakeRun();
  run.ready.catch(() => {});
  runs.push(run);
  return run;
}

async function startedProgram() {
  const program = supervise(start, clock);
  runs[0]?.becomeReady();
  return program;
}

test("a program that ends before it was ever ready is not tried again: its reason is the error", async () => {
  const program = supervise(start, clock);
  runs[0]?.end("the port is in use");
  await expect(program).rejects.toThrow("the port is in use");
  await clock.advance(60_000);
  expect(runs).toHaveLength(1);
});

test("a program that ends later says why, and is started again 5 s after", async () => {
  const program = await startedProgram();
  expect(program.state).toEqual({ name: "running", pid: 101, url: "http://127.0.0.1:1" });

  runs[0]?.end("ended by SIGKILL");
  await clock.advance(4_999);
  expect(program.state).toEqual({ name: "ended", reason: "ended by SIGKILL" });
  expect(runs).toHaveLength(1);

  await clock.advance(1);
  expect(program.state).toEqual({ name: "starting" });
  runs[1]?.becomeReady();
  await settle();
  expect(program.state).toMatchObject({ name: "running", pid: 102 });
});

test("one that does not become ready again is tried every 5 s", async () => {
  await startedProgram();
  for (let n = 1; n <= 3; n++) {
    runs.at(-1)?.end("the port is in use");
    await clock.advance(5_000);
    expect(runs).toHaveLength(n + 1);
  }
});

test("stop ends a running program, and it stays ended", async () => {
  const program = await startedProgram();
  await program.stop();
  await clock.advance(60_000);
  expect(runs).toHaveLength(1);
  expect(clock.pending).toBe(0);
});

test("stop while it waits to start again leaves no timer", async () => {
  const program = await startedProgram();
  runs[0]?.end("ended by SIGKILL");
  await settle();
  expect(clock.pending).toBe(1);
  await program.stop();
  expect(clock.pending).toBe(0);
  expect(runs).toHaveLength(1);
});
