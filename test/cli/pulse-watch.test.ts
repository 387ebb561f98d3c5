import { spawn } from "node:child_process";
import { once } from "node:events";
import { fromJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import {
  type WatchDownloadClientsResponse,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { Scope } from "../../gen/pulse/v1/token_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { eventually } from "../support/eventually.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";

// `pulse … watch` as processes, with changes and a restart of Pulse under it.

let stack: Stack;
let server: RunningProgram;
let admin: PulseConnection;

beforeAll(async () => {
  stack = await Stack.create();
  server = await stack.startPulse();
  admin = connectPulse({ pulse: stack.url, token: () => stack.token("admin"), retry: "never" });
});

afterAll(async () => {
  admin.close();
  await stack.stop();
});

function watch(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = stack.group.start("pulse", args, {
    PULSE_URL: stack.url,
    PULSE_DATA: stack.dataDirectory,
    ...env,
  });
  onTestFinished(() => program.kill("SIGKILL"));
  return program;
}

/** The lines of `pulse clients watch --json` so far. */
function responses({ stdout }: RunningProgram): WatchDownloadClientsResponse[] {
  const lines = stdout.split("\n").slice(0, -1);
  return lines.map((line) => fromJsonString(WatchDownloadClientsResponseSchema, line));
}

async function restartPulse(): Promise<void> {
  await server.stop();
  server = await stack.startPulse();
}

const setPriority = async (id: string, priority: number) => {
  const updateMask = { paths: ["priority"] };
  await admin.downloadClients.updateDownloadClient({
    downloadClient: { id, priority },
    updateMask,
  });
};

test("tables and JSON show what there is and each change, through a restart of Pulse, until Ctrl-C", async () => {
  const table = watch(["clients", "watch"]);
  const json = watch(["clients", "watch", "--json"]);
  const shown = watch(["clients", "watch", "--json", "--show-credentials"]);
  const services = watch(["services", "watch", "--type", "download-client"]);
  const all = [table, json, shown, services];
  await table.output(/^No download clients\.\n/);
  await services.output(/^No services\.\n/);
  await Promise.all([json.output(/"snapshot"/), shown.output(/"snapshot"/)]);

  const { downloadClient } = await admin.registry.register({ ...HAUL, requestedTtl: LONG_TTL });
  const id = downloadClient?.id ?? "";
  const line = (what: string, reason: string) =>
    new RegExp(`\\n\\S+Z +${what} +haul +.*http://192\\.168\\.1\\.10:8080/qbt +\\S+ +${reason}`);
  await table.output(line("new", "registered"));
  await services.output(line("new", "registered"));
  expect(table.stdout).toMatch(/\n\nTIME +CHANGE +NAME +KIND +ADDRESS +AVAILABILITY +REASON\n/);

  await restartPulse();
  const back = /^Lost Pulse at http:\S+ \([^\n]+\); trying [^\n]+\nPulse at http:\S+ is back\.\n$/;
  for (const program of all) await eventually(() => expect(program.stderr).toMatch(back));

  await setPriority(id, 3);
  await admin.downloadClients.deleteDownloadClient({ id });
  await table.output(line("changed", "edited by admin"));
  await table.output(line("gone", "deleted by admin"));
  await Promise.all([json.output(/CHANGE_TYPE_DELETE/), shown.output(/CHANGE_TYPE_DELETE/)]);

  for (const program of all) program.kill(program === table ? "SIGTERM" : "SIGINT");
  for (const program of all) expect(await program.exit).toEqual({ code: 0, signal: null });
  const [first, ...rest] = responses(json);
  expect(first?.event.case).toBe("snapshot");
  const changes = rest.flatMap(({ event }) => (event.case === "change" ? event.value : []));
  expect(changes).toMatchObject([
    { type: ChangeType.PUT, reason: "registered", downloadClient: { name: "haul", password: "" } },
    { type: ChangeType.PUT, reason: "edited by admin", downloadClient: { priority: 3 } },
    { type: ChangeType.DELETE, reason: "deleted by admin", downloadClient: { id } },
  ]);
  expect(table.stdout + json.stdout + services.stdout).not.toContain(HAUL.serviceApiKey);
  expect(shown.stdout).toContain(HAUL.serviceApiKey);
  await admin.downloadClients.restoreDownloadClient({ id });
});

test("overrides are blanked in JSON like what they override", async () => {
  const created = await admin.registry.register({
    ...HAUL,
    service: { ...HAUL.service, name: "box" },
    instanceId: "box",
    requestedTtl: LONG_TTL,
  });
  const id = created.downloadClient?.id ?? "";
  await admin.downloadClients.updateDownloadClient({
    downloadClient: { id, overrides: { password: "plain-secret-3" } },
    updateMask: { paths: ["overrides.password"] },
  });
  const program = watch(["clients", "watch", "--json", "--kind", "qbittorrent"]);
  await program.output(/"name":"box"/);
  expect(program.stdout).toContain('"overrides":{"password":""}');
  expect(program.stdout).not.toContain("plain-secret-3");
});

test("a Pulse that is not there yet is waited for, and its token too", async () => {
  const other = await Stack.create();
  onTestFinished(() => other.stop());
  const program = watch(["clients", "watch"], {
    PULSE_URL: other.url,
    PULSE_DATA: other.dataDirectory,
  });
  await eventually(() =>
    expect(program.stderr).toMatch(/^Cannot watch Pulse at \S+ yet \(no token [^\n]+ works\.\n$/),
  );
  await other.startPulse();
  await program.output(/^No download clients\.\n/);
  expect(program.stderr).toMatch(/\nWatching Pulse at \S+ now\.\n$/);
});

test("a pipe whose reader is gone ends it quietly", async () => {
  const command = `${process.execPath} --import tsx src/cli/pulse.ts services watch --json`;
  const child = spawn("sh", ["-c", `{ ${command}; echo "ended with $?" >&2; } | head -n 1`], {
    env: { PATH: process.env.PATH, PULSE_URL: stack.url, PULSE_DATA: stack.dataDirectory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await once(child.stdout, "data");
  await admin.registry.register({ service: { name: "n", type: "t" } }); // something to write
  await once(child, "close");
  expect(stderr).toBe("ended with 0\n");
});

test("a token that is revoked meanwhile, or refused at once, ends it with one sentence and 1", async () => {
  const { id, token } = await admin.tokens.createToken({ name: "t", scopes: [Scope.OBSERVE] });
  const program = watch(["clients", "watch"], { PULSE_TOKEN: token });
  await program.output(/NAME/);
  await admin.tokens.revokeToken({ id });
  expect(await program.exit).toEqual({ code: 1, signal: null });
  expect(program.stderr).toMatch(/^pulse: Pulse at [^\n]+ does not accept the token[^\n]+\n$/);
  expect(program.stderr).not.toContain(token);
  const again = watch(["services", "watch", "--json"], { PULSE_TOKEN: token });
  expect(await again.exit).toEqual({ code: 1, signal: null });
  expect(again.stderr).toMatch(/^pulse: Pulse at [^\n]+ does not accept the token[^\n]+\n$/);
});

test("no token for another host is said at once: waiting would not mend it", async () => {
  const program = watch(["services", "watch"], { PULSE_URL: "https://192.0.2.1:9696" });
  expect(await program.exit).toEqual({ code: 1, signal: null });
  expect(program.stderr).toMatch(/^pulse: Pulse at \S+ is on another host: give a token[^\n]+\n$/);
});
