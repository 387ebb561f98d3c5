import { chmod, readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createProgramGroup } from "../support/processes.js";
import { freePort } from "../support/stack.js";

// Keys are not to be found by whoever looks into the files of a host: what our programs
// make is their owner's alone, and what is not any more is not used.

/** Everything below a directory, and it itself, with its mode. */
async function modes(directory: string): Promise<Map<string, number>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = [directory, ...entries.map(({ parentPath, name }) => join(parentPath, name))];
  const found = new Map<string, number>();
  for (const path of paths) found.set(relative(directory, path), (await stat(path)).mode & 0o777);
  return found;
}

async function setUp() {
  const group = await createProgramGroup();
  onTestFinished(() => group.stop());
  const port = await freePort();
  const data = join(group.directory, "deep", "pulse");
  const state = join(group.directory, "deep", "haul");
  const env = { PULSE_DATA: data, PULSE_URL: `http://127.0.0.1:${port}` };
  const startPulse = async () => {
    const pulse = group.start("pulse", ["serve", "--listen", `127.0.0.1:${port}`], env);
    await pulse.line("pulse.listening");
    return pulse;
  };
  const startHaul = async () => {
    const haul = group.start("haul", ["run", "--listen", "127.0.0.1:0", "--data", state], {
      ...env,
      PATH: "",
    });
    await haul.line("haul.registered");
    return haul;
  };
  return { group, port, data, state, env, startPulse, startHaul };
}

test("what Pulse and Haul make is their owner's alone, whatever the umask", async () => {
  const { data, state, startPulse, startHaul } = await setUp();
  const before = process.umask(0);
  try {
    const pulse = await startPulse();
    const haul = await startHaul();
    for (const [directory, needed] of [
      [data, ["secret.key", "tokens/service.token", "tokens/admin.token"]],
      [state, ["instance.json", "api.key"]],
    ] as const) {
      const found = await modes(directory);
      for (const name of needed) expect([name, found.get(name)]).toEqual([name, 0o600]);
      for (const [name, mode] of found) expect([name, mode & 0o077]).toEqual([name, 0]);
    }
    await haul.stop();
    await pulse.stop();
  } finally {
    process.umask(before);
  }
});

test("Pulse does not start on a key or a token that every user can read, and says what to do", async () => {
  const { group, port, data, env, startPulse } = await setUp();
  await (await startPulse()).stop();
  for (const name of ["secret.key", "tokens/service.token", "tokens/admin.token"]) {
    const path = join(data, name);
    await chmod(path, 0o644);
    const { code, stderr } = await group.run(
      "pulse",
      ["serve", "--listen", `127.0.0.1:${port}`],
      env,
    );
    expect([name, code]).toEqual([name, 1]);
    expect(stderr).toMatch(/^pulse: [^\n]+\n$/);
    expect(stderr).toContain(`"chmod o= ${path}"`);
    await chmod(path, 0o640); // of a group: an operator's own doing
    await (await startPulse()).stop();
  }
});

test("Haul does not run on an identity or a key that every user can read, and says what to do", async () => {
  const { group, state, env, startPulse, startHaul } = await setUp();
  await startPulse();
  await (await startHaul()).stop();
  for (const name of ["instance.json", "api.key"]) {
    const path = join(state, name);
    await chmod(path, 0o604);
    const args = ["run", "--listen", "127.0.0.1:0", "--data", state];
    const { code, stderr } = await group.run("haul", args, { ...env, PATH: "" });
    expect([name, code]).toEqual([name, 1]);
    expect(stderr).toMatch(/^haul: [^\n]+\n$/);
    expect(stderr).toContain(`"chmod o= ${path}"`);
    await chmod(path, 0o600);
  }
});

test("a command does not use a token of the data directory that every user can read", async () => {
  const { group, data, env, startPulse } = await setUp();
  await startPulse();
  const path = join(data, "tokens", "service.token");
  await chmod(path, 0o644);
  const found = await group.run("pulse", ["services", "list"], env);
  expect(found.code).toBe(1);
  expect(found.stderr).toContain(`"chmod o= ${path}"`);
  // Named by hand it is the operator's own, and used with a warning.
  const given = await group.run("pulse", ["services", "list", "--token-file", path], env);
  expect([given.code, given.stdout]).toEqual([0, "No services.\n"]);
  expect(given.stderr).toContain(`"chmod 600 ${path}"`);
});
