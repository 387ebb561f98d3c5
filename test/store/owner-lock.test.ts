import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openStore, temporaryDirectory } from "./temporary-store.js";

/** A process that owns the store, and has made some commits. */
async function owningProcess(directory: string) {
  const program = join(import.meta.dirname, "owning-process.ts");
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", program, directory], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  await new Promise<void>((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`it ended with ${code}`)));
    child.stdout?.on("data", (data: Buffer) => {
      output += data;
      if (output.includes("\n20\n")) resolve();
    });
  });
  return {
    async kill() {
      child.kill("SIGKILL");
      await once(child, "close");
    },
    /** The newest revision that it said is durable. */
    get told() {
      return BigInt(output.trimEnd().split("\n").at(-1) ?? 0);
    },
  };
}

it("another process is refused while the owner lives, and follows it at once when it was killed", async () => {
  const directory = await temporaryDirectory();
  const owner = await owningProcess(directory);
  await expect(openStore(directory)).rejects.toThrow("another Pulse");
  await owner.kill();

  const stored = await (await openStore(directory)).load();

  // What was told is there, and whole; the commit after it may be.
  expect([owner.told, owner.told + 1n]).toContain(stored.revision);
  const ids = new Set(stored.services.map(({ id }) => id));
  expect(ids.size).toBe(Number(stored.revision));
});

it("who was refused in the owner's own process has not loosened its hold on others", async () => {
  const directory = await temporaryDirectory();
  await openStore(directory);
  await expect(openStore(directory)).rejects.toThrow("another Pulse");
  await expect(owningProcess(directory)).rejects.toThrow("it ended with 1");
});
