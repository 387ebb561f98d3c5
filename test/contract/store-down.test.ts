import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, it } from "vitest";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, TestPulse } from "../support/pulse.js";
import { failure } from "../support/status.js";

// The database that cannot be written is a real one, held by another program.

let pulse: TestPulse;
let clients: Clients;
let other: Database.Database;
beforeEach(async () => {
  pulse = await TestPulse.start({ maxServices: 2 });
  clients = pulse.clients("gRPC", await pulse.fileToken("service"));
  other = new Database(join(pulse.dataDirectory, "pulse.db"));
});
afterEach(async () => {
  other.close();
  await pulse.stop();
});

/** What `/healthz` says of the database. */
async function storeHealth(): Promise<string> {
  const response = await fetch(`${pulse.server.url}/healthz`);
  return ((await response.json()) as { store: string }).store;
}

it("refuses writes as UNAVAILABLE, renews leases and lists all the same, and recovers by itself", async () => {
  const { registry, downloadClients } = clients;
  const { lease, revision } = await registry.register(HAUL);
  const stream = new HeartbeatClient(registry);
  other.exec("begin immediate");
  const request = { ...HAUL, instanceId: "while-it-is-down" };
  expect(await failure(registry.register(request))).toMatchObject({
    code: "Unavailable",
    reason: "STORE_UNAVAILABLE",
    retryAfterMs: 2_000,
  });
  expect(await storeHealth()).toBe("unavailable");
  expect(await stream.beat({ leaseId: lease?.id ?? "", sequence: 1n })).toMatchObject({
    case: "renewed",
  });
  expect((await downloadClients.listDownloadClients({})).revision).toBe(revision);
  other.exec("rollback");
  expect((await registry.register(request)).revision).toBe(revision + 1n);
  expect(await storeHealth()).toBe("ok");
  const said = pulse.log.lines.map(({ msg }) => msg).filter((msg) => msg.startsWith("store."));
  expect(said).toEqual(["store.unavailable", "store.available"]);
  await stream.end();
});

it("that is full of services refuses one more with RESOURCE_EXHAUSTED, and takes back those it has", async () => {
  const { registry } = clients;
  for (const instanceId of ["one", "two"]) await registry.register({ ...HAUL, instanceId });
  expect(await failure(registry.register({ ...HAUL, instanceId: "three" }))).toMatchObject({
    code: "ResourceExhausted",
    reason: "TOO_MANY_SERVICES",
    retryAfterMs: 60_000,
  });
  expect((await registry.register({ ...HAUL, instanceId: "two" })).generation).toBe(2n);
});
