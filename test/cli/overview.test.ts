import { expect, test } from "vitest";
import { programLines } from "../../src/cli/overview.js";

const pulse = { name: "running", pid: 11, url: "http://127.0.0.1:9696" } as const;

test("a running Haul comes with the command that ends it", () => {
  const haul = { name: "running", pid: 22, url: "http://127.0.0.1:9797" } as const;
  expect(programLines(pulse, haul).split("\n")).toEqual([
    "Pulse  http://127.0.0.1:9696   pid 11",
    "Haul   http://127.0.0.1:9797   pid 22",
    '       "kill 22" in another terminal ends it; 5 s later it is started again.',
  ]);
});

test("one that ended says why, and one that starts says so", () => {
  expect(programLines(pulse, { name: "ended", reason: "ended by SIGKILL" })).toContain(
    "Haul   ended: ended by SIGKILL",
  );
  expect(programLines({ name: "starting" }, { name: "starting" })).toBe(
    "Pulse  starts\nHaul   starts",
  );
});
