import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";

// What an operator does of a Pulse that lets nobody in by itself.

let group: ProgramGroup;
let env: Record<string, string>;
let service: PulseConnection;

beforeAll(async () => {
  group = await createProgramGroup();
  const PULSE_DATA = join(group.directory, "data");
  const server = group.start("pulse", ["serve", "--listen", "127.0.0.1:0", "--require-approval"], {
    PULSE_DATA,
  });
  env = { PULSE_DATA, PULSE_URL: String((await server.line("pulse.listening")).url) };
  const token = await readFile(join(PULSE_DATA, "tokens", "service.token"), "utf8");
  service = connectPulse({ pulse: env.PULSE_URL ?? "", token: token.trim() });
});

afterAll(() => {
  service.close();
  return group.stop();
});

const pulse = (...args: string[]) => group.run("pulse", args, env);

async function register(name: string): Promise<string> {
  const reply = await service.registry.register({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
  });
  return reply.service?.id ?? "";
}

const done = (stdout: string) => ({ code: 0, signal: null, stdout: `${stdout}\n`, stderr: "" });

test("the list shows who waits, and how to approve it; approving by name shows it to managers", async () => {
  const id = await register("nas");
  const listed = await pulse("services", "list", "--status", "pending");
  expect(listed.stdout).toMatch(/nas +download-client +qbittorrent +pending +waits for approval/);
  expect(listed.stdout).toContain(`pulse services approve ${id}`);
  expect((await pulse("services", "list", "--status", "online")).stdout).toBe("No services.\n");
  expect((await pulse("clients", "list")).stdout).toBe("No download clients.\n");
  const hidden = await pulse("clients", "list", "--deleted", "--show-credentials");
  expect(hidden.stdout).toMatch(/nas .* away +waits for approval: pulse services approve /);
  expect(hidden.stdout).not.toContain(HAUL.serviceApiKey);

  expect(await pulse("services", "approve", "nas")).toEqual(
    done(`Approved nas at ${HAUL.service.apiUrl}.`),
  );
  expect((await pulse("clients", "list")).stdout).toMatch(/nas +qbittorrent .* online/);
  expect((await pulse("services", "explain", "nas")).stdout).toMatch(
    /approved by admin +service +online/,
  );
  expect(await pulse("services", "approve", id)).toEqual(
    done(`nas at ${HAUL.service.apiUrl} did not wait for approval.`),
  );
});

test("approving by instance id, for programs", async () => {
  await register("box");
  const { stdout } = await pulse("services", "approve", "instance-of-box", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    service: { spec: { name: "box" }, status: "SERVICE_STATUS_ONLINE" },
  });
});

test("nobody of that name, and a token that may not, are one sentence", async () => {
  const nobody = await pulse("services", "approve", "nobody");
  expect(nobody).toMatchObject({ code: 1, stdout: "" });
  expect(nobody.stderr).toMatch(/^pulse: there is no service with id or name "nobody"\n$/);
  await register("third");
  const token = join(env.PULSE_DATA ?? "", "tokens", "service.token");
  const denied = await pulse("services", "approve", "third", "--token-file", token);
  expect(denied.code).toBe(1);
  expect(denied.stderr).toMatch(/^pulse: Pulse at \S+ does not allow this [^\n]+\n$/);
});

test("a Haul says that it waits, once, and goes on", async () => {
  const haul = group.start(
    "haul",
    [
      "run",
      "--listen",
      "127.0.0.1:0",
      "--data",
      join(group.directory, "haul"),
      "--name",
      "waiting",
    ],
    { ...env, PATH: "" },
  );
  const { detail } = await haul.line("haul.waits-for-approval");
  expect(detail).toMatch(/pulse services approve [0-9a-f-]+$/);
  await pulse("services", "approve", "waiting");
  expect((await pulse("clients", "list")).stdout).toContain("waiting");
  await haul.stop();
  expect(haul.lines.filter(({ msg }) => msg === "haul.waits-for-approval")).toHaveLength(1);
});
