import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { familyCpuMs, familyMemory } from "../../bench/family-usage.js";
import { growthOf } from "../../bench/store/sizes.js";

describe("what a store takes", () => {
  it("is told for 1,000 services, and for 10,000 changes by those that came alone", () => {
    const empty = { serviceBytes: 8_192, historyBytes: 8_192, revision: 2 };
    const filled = { serviceBytes: 208_192, historyBytes: 500_000, revision: 502 };
    const later = { serviceBytes: 300_000, historyBytes: 560_000, revision: 1_002 };
    expect(growthOf(500, empty, filled, later)).toEqual({
      bytesPer1000Services: 400_000,
      bytesPer10000Changes: 1_200_000,
    });
  });

  it.skipIf(process.platform !== "linux")(
    "of CPU and memory is that of a process and of those that it has started",
    async () => {
      const child = spawn("sh", ["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; cat"], {
        stdio: ["pipe", "ignore", "ignore"],
      });
      const before = familyMemory(process.pid);
      const cpuMs = familyCpuMs(process.pid);
      child.stdin.end();
      await once(child, "exit");
      const after = familyMemory(process.pid);
      expect(before.processes).toBe(after.processes + 1);
      expect(after.bytes).toBeGreaterThan(10 * 1_024 ** 2);
      expect(familyCpuMs(process.pid)).toBeGreaterThan(cpuMs); // it has ended, and counts
    },
  );
});
