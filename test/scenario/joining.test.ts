import { cp, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { operate } from "../support/operator.js";
import type { RunningProgram } from "../support/processes.js";
import { Stack } from "../support/stack.js";

// Hauls that have nothing but a join token, as an operator hands them out.

const TIMEOUT = { timeout: 60_000 };

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

interface JoinToken {
  readonly id: string;
  readonly token: string;
}

async function makeJoinToken(...bounds: string[]): Promise<JoinToken> {
  const args = ["token", "create", "--name", "for-hauls", "--scope", "join", ...bounds, "--json"];
  return JSON.parse(await operate(stack, ...args)) as JoinToken;
}

/** A Haul on a host of its own: it finds no token of Pulse's there. */
function startHaul(state: string, token: string | undefined): Promise<RunningProgram> {
  return stack.startHaul(state, ["--name", state], {
    PATH: "", // it registers itself
    PULSE_DATA: join(stack.group.directory, "nothing"),
    ...(token === undefined ? {} : { PULSE_TOKEN: token }),
  });
}

const tokenFile = (state: string) => join(stack.group.directory, state, "instance.token");

async function kill(program: RunningProgram): Promise<void> {
  program.kill("SIGKILL");
  await program.exit;
}

it(
  "a Haul that has joined starts again once the join token is spent and revoked, and others do not join",
  TIMEOUT,
  async () => {
    const pulse = await stack.startPulse();
    const { id, token } = await makeJoinToken("--uses", "1", "--expires-in", "1h");
    const first = await startHaul("one", token);
    await first.line("haul.registered");
    const joined = await stack.entryIs("one", "ONLINE");
    expect((await stat(tokenFile("one"))).mode & 0o777).toBe(0o600);
    const own = (await readFile(tokenFile("one"), "utf8")).trim();
    expect(await operate(stack, "token", "list")).toMatch(
      /for-hauls +join +spent +\S+ +1 of 1[\s\S]*one \(joined with for-hauls\) +register +valid/,
    );

    const late = await startHaul("two", token);
    expect(JSON.stringify(await late.line("haul.rejected"))).toContain("have all joined");
    await operate(stack, "token", "revoke", id);
    await kill(first);
    await stack.entryIs("one", "OFFLINE");
    const second = await startHaul("one", undefined);
    const back = await stack.entryIs("one", "ONLINE");
    expect(back.id).toBe(joined.id);
    expect((await stack.entries()).size).toBe(1);

    for (const program of [pulse, first, second, late])
      for (const secret of [token, own])
        expect(`${program.stdout}${program.stderr}`).not.toContain(secret);
  },
);

it(
  "a Haul joins anew when Pulse does not know it any more, but the join token",
  TIMEOUT,
  async () => {
    const backup = join(stack.group.directory, "backup");
    const before = await stack.startPulse();
    const { token } = await makeJoinToken("--uses", "1");
    await before.stop();
    await cp(stack.dataDirectory, backup, { recursive: true });

    const pulse = await stack.startPulse();
    const haul = await startHaul("one", token);
    await haul.line("haul.registered");
    const { id } = await stack.entryIs("one", "ONLINE");
    const own = await readFile(tokenFile("one"), "utf8");
    await kill(pulse);
    await rm(stack.dataDirectory, { recursive: true });
    await cp(backup, stack.dataDirectory, { recursive: true });
    await stack.startPulse();
    await haul.line("haul.reconnected");
    expect((await stack.entryIs("one", "ONLINE")).id).toBe(id);
    expect(await readFile(tokenFile("one"), "utf8")).not.toBe(own);
    expect(haul.lines.map(({ msg }) => msg)).not.toContain("haul.rejected");
  },
);

it(
  "a running Haul whose own token is revoked is cut off, and joins again if it may",
  TIMEOUT,
  async () => {
    await stack.startPulse();
    const { token } = await makeJoinToken("--uses", "1");
    const haul = await startHaul("one", token);
    await haul.line("haul.registered");
    const { serviceId } = await stack.entryIs("one", "ONLINE");
    await stack.hasHeartbeat(serviceId);
    const own = (await readFile(tokenFile("one"), "utf8")).trim();
    await operate(stack, "token", "revoke", own.split("_")[1] ?? "");
    await haul.line("haul.reconnected");
    expect((await readFile(tokenFile("one"), "utf8")).trim()).not.toBe(own);
    await stack.entryIs("one", "ONLINE");
  },
);
