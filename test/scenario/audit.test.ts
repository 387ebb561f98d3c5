import { setTimeout as sleep } from "node:timers/promises";
import { fromJsonString } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  AuditAction,
  type AuditEntry,
  AuditEntrySchema,
} from "../../gen/pulse/v1/audit_service_pb.js";
import { ACTION_OF_REASON } from "../../src/core/audit.js";
import type { CommitSummary } from "../../src/core/change.js";
import { openStore } from "../store/temporary-store.js";
import { eventually } from "../support/eventually.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL } from "../support/pulse.js";
import { seededRandom } from "../support/seeded-random.js";
import { Stack } from "../support/stack.js";

// The audit log as an operator sees it, of real processes.

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

function follow(...flags: string[]): RunningProgram {
  const where = ["--pulse", stack.url, "--data", stack.dataDirectory];
  return stack.group.start("pulse", ["audit", "--follow", ...flags, ...where]);
}

const entriesOf = ({ stdout }: RunningProgram): AuditEntry[] =>
  stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => fromJsonString(AuditEntrySchema, line));

it("`pulse audit --follow` sees a Haul register and a manager read credentials, through a SIGKILL of Pulse", async () => {
  const following = follow("--json"); // it may be there before Pulse
  const pulse = await stack.startPulse();
  await stack.startHaul("haul", ["--name", "my haul"], { PATH: "" });
  const { id, serviceId } = await stack.entryIs("my haul", "ONLINE");
  const operator = stack.connect("admin");
  await operator.downloadClients.updateDownloadClient({
    downloadClient: { id, overrides: { password: "planted-password" } },
    updateMask: { paths: ["overrides.password"] },
  });
  await stack.entries();
  const seen = (action: AuditAction) =>
    eventually(() => {
      const found = entriesOf(following).find((entry) => entry.action === action);
      if (!found) throw new Error(`nothing yet but ${following.stdout}`);
      return found;
    });
  expect(await seen(AuditAction.REGISTERED)).toMatchObject({
    tokenName: "service",
    address: "127.0.0.1",
    subject: "service",
    subjectId: serviceId,
    subjectName: "my haul",
  });
  expect(await seen(AuditAction.ENTRY_EDITED)).toMatchObject({
    tokenName: "admin",
    subjectId: id,
    detail: "overrides.password",
  });
  await eventually(() => {
    const reads = entriesOf(following).filter(
      ({ action, tokenName }) => action === AuditAction.CREDENTIALS_READ && tokenName === "service",
    );
    expect(reads.map(({ detail }) => detail).join()).toContain('"my haul"');
  });

  pulse.kill("SIGKILL");
  await pulse.exit;
  await stack.startPulse();
  await operator.downloadClients.deleteDownloadClient({ id });
  await seen(AuditAction.ENTRY_DELETED);
  const ids = entriesOf(following).map((entry) => entry.id);
  expect(ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(new Set(ids).size).toBe(ids.length);
  expect(following.stdout).not.toContain("planted-password");
  expect(await following.stop()).toEqual({ code: 0, signal: null });

  const shown = await stack.group.run("pulse", [
    ...["audit", "--last", "2", "--action", "registered", "entry-deleted"],
    ...["--pulse", stack.url, "--data", stack.dataDirectory],
  ]);
  expect(shown.stdout).toMatch(
    /^TIME .*\n.* registered +service +127\.0\.0\.1 +my haul .*\n.* entry-deleted +admin +127\.0\.0\.1 +my haul .*\n$/,
  );
});

it("nothing that was committed lacks its entry, whenever Pulse is killed", async () => {
  const random = seededRandom();
  let acknowledged = 0;
  for (let round = 0; round < 4; round++) {
    const pulse = await stack.startPulse({}, ["--history-changes", "1000000"]);
    const { registry } = stack.connect();
    const { downloadClients } = stack.connect("admin");
    const write = async (n: number) => {
      const call = async (i: number) =>
        n % 2 === 0
          ? registry.register({ ...HAUL, instanceId: `instance-${n}-${i % 5}` })
          : downloadClients.createDownloadClient({
              downloadClient: { name: `${round}-${n}-${i}`, kind: "sabnzbd", host: "nas", port: 1 },
            });
      for (let i = 0; ; i++) {
        await call(i);
        acknowledged++;
      }
    };
    const writing = Promise.allSettled(Array.from({ length: 8 }, (_, n) => write(n)));
    await sleep(200 + 600 * random.next());
    pulse.kill("SIGKILL");
    await Promise.all([pulse.exit, writing]);
  }
  const store = await openStore(stack.dataDirectory);
  const { history } = await store.load();
  const { entries } = await store.readAudit({ afterId: 0n, limit: 1_000_000 });
  expect(acknowledged).toBeGreaterThan(50);
  const own = entries.filter(({ action }) => action !== "credentials read");
  const called = history.filter(({ reason }) => reason !== "token created"); // by Pulse itself
  expect(own.map(({ action, at, subjectId }) => `${action} ${at} ${subjectId}`)).toEqual(
    called.flatMap(told),
  );
});

function told({ reason, at, changes }: CommitSummary): string[] {
  const action = ACTION_OF_REASON[(/^(\S+) by /.exec(reason)?.[1] ?? reason) as "registered"];
  return action ? [`${action} ${at} ${changes[0]?.subjectId}`] : [];
}
