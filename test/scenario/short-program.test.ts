import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Stack } from "../support/stack.js";

// A program that links the client and has nothing more to do.

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

async function run(ending: string): Promise<string> {
  const program = `
    import { registerWithRetry } from "./src/client/index.js";
    const registration = await registerWithRetry({
      pulse: "${stack.url}",
      token: process.env.TOKEN ?? "",
      service: { name: "short", type: "example" },
      identity: { directory: process.env.STATE ?? "" },
      standaloneAfterMs: 500,
    });
    console.log(registration.state);
    ${ending}
  `;
  const flags = ["--import", "tsx", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, flags, {
    cwd: join(import.meta.dirname, "..", ".."),
    env: {
      PATH: process.env.PATH,
      TOKEN: await stack.token().catch(() => "x"),
      STATE: join(stack.group.directory, "short"),
    },
    timeout: 15_000,
  });
  return stdout;
}

const reason = async () =>
  (await stack.connect().registry.listServices({})).services[0]?.statusReason;

it("ends by itself: a registration does not keep it alive", async () => {
  await stack.startPulse();
  expect(await run("")).toBe("registered\n");
});

it("ends by itself without Pulse too, though the registration goes on trying", async () => {
  expect(await run("")).toBe("standalone\n");
});

it("lives until its goodbye has been heard", async () => {
  await stack.startPulse();
  expect(await run("void registration.close();")).toBe("registered\n");
  expect(await reason()).toBe("goodbye");
});
