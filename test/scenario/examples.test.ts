import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startAria2 } from "../support/download-clients/real-clients.js";
import { isMissing } from "../support/missing.js";
import type { RunningProgram } from "../support/processes.js";
import { freePort, Stack } from "../support/stack.js";

// The programs of examples/, run as their first lines say.

const ROOT = join(import.meta.dirname, "..", "..");

let stack: Stack;
let pulse: RunningProgram;
beforeEach(async () => {
  stack = await Stack.create();
  pulse = await stack.startPulse();
});
afterEach(() => stack.stop());

async function startExample(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ child: ChildProcess; until: (pattern: RegExp) => Promise<string> }> {
  const child = spawn(process.execPath, ["--import", "tsx", join(ROOT, "examples", name)], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      PULSE_URL: stack.url,
      PULSE_TOKEN: await stack.token(),
      STATE_DIRECTORY: join(stack.group.directory, "example"),
      ...env,
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
  const ended = once(child, "exit").then(() => "ended");
  return {
    child,
    async until(pattern) {
      while (!pattern.test(out))
        if ((await Promise.race([ended, once(child.stdout, "data")])) === "ended") break;
      expect(out).toMatch(pattern);
      return out;
    },
  };
}

describe("register-service", () => {
  it("registers, stays, and says goodbye at Ctrl-C", async () => {
    const { child, until } = await startExample("register-service.ts", {
      PORT: String(await freePort()),
    });
    const out = await until(/registered as \S+/);
    const id = /registered as (\S+)/.exec(out)?.[1] ?? "";
    const exit = once(child, "exit");
    child.kill("SIGINT");
    expect(await exit).toEqual([0, null]);
    const { service } = await stack.connect().registry.getService({ id });
    expect(service).toMatchObject({ spec: { name: "greeter" }, statusReason: "goodbye" });
  });
});

describe.skipIf(isMissing("aria2c"))("list-download-clients", () => {
  it("logs in to a real aria2 with what Pulse says and nothing else", {
    timeout: 60_000,
  }, async () => {
    const aria2 = await startAria2({ password: "an-rpc-secret" });
    await stack.startHaul("haul", ["--kind", "aria2", "--url", aria2.url], {
      HAUL_API_KEY: "an-rpc-secret",
    });
    await stack.entryIs("haul", "ONLINE");
    const { until } = await startExample("list-download-clients.ts");
    await until(new RegExp(`^haul: logged in to aria2 at ${aria2.url}$`, "m"));
  });
});

describe.skipIf(isMissing("aria2c"))("pilot", () => {
  it("keeps in step with Pulse, logs in to a real aria2, and starts while Pulse is down", {
    timeout: 90_000,
  }, async () => {
    const aria2 = await startAria2({ password: "an-rpc-secret" });
    const env = { CACHE_FILE: join(stack.group.directory, "pilot-clients") };

    const first = await startExample("pilot.ts", env);
    await first.until(/^in step, 0 client\(s\)$/m);
    const haul = await stack.startHaul("haul", ["--kind", "aria2", "--url", aria2.url], {
      HAUL_API_KEY: "an-rpc-secret",
    });
    await first.until(
      new RegExp(`^haul \\(registered\\): logged in to aria2 at ${aria2.url}$`, "m"),
    );
    const exit = once(first.child, "exit");
    first.child.kill("SIGINT");
    expect(await exit).toEqual([0, null]);

    await pulse.stop();
    const second = await startExample("pilot.ts", env);
    await second.until(/^haul \(snapshot\): logged in to aria2/m);
    await second.until(/^stale: /m);

    await stack.startPulse();
    await second.until(/^in step, 1 client\(s\)$/m);
    await haul.line("haul.reconnected"); // else nobody would hear its goodbye
    await haul.stop();
    await second.until(/^haul \(goodbye\): offline, goodbye$/m);
  });
});
