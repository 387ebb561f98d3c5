import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import Database from "libsql";
import pg from "pg";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/health/v1/health_pb.js";
import { AuditAction } from "../../gen/pulse/v1/audit_service_pb.js";
import { TimelineSubject } from "../../gen/pulse/v1/registry_service_pb.js";
import { SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { type PulseOptions, StartError, startPulse } from "../../src/pulse/index.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { ManualClock } from "../support/manual-clock.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { HAUL, PROTOCOLS, TestPulse, type WireProtocol } from "../support/pulse.js";
import { recordingLog } from "../support/recording-log.js";
import { failure } from "../support/status.js";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

let directory: string;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-server-"));
  log = recordingLog();
  onTestFinished(() => rm(directory, { recursive: true, force: true })); // after all others
});

async function start(options: Partial<PulseOptions> = {}) {
  const server = await startPulse({ listen: LOOPBACK, dataDirectory: directory, log, ...options });
  onTestFinished(() => server.stop());
  return server;
}

/** Why Pulse does not start: one sentence for the operator. */
async function refusal(options: Partial<PulseOptions>): Promise<string> {
  const error = await start(options).then(
    () => expect.unreachable("it started"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartError);
  const { message } = error as StartError;
  expect(message).not.toMatch(/\n|^Error/);
  return message;
}

/** Runs SQL on the database, as another program would. */
function tamper(sql: string): void {
  const database = new Database(join(directory, "pulse.db"));
  database.exec(sql);
  database.close();
}

function occupy(): Promise<Server> {
  const server = createServer();
  onTestFinished(() => void server.close());
  return new Promise((resolve) => server.listen(LOOPBACK, () => resolve(server)));
}

async function health(pulse: TestPulse, service: string) {
  const client = createClient(Health, pulse.transport("gRPC", undefined));
  return HealthCheckResponse_ServingStatus[(await client.check({ service })).status];
}
async function firstOf<Response>(
  responses: AsyncIterable<Response>,
): Promise<Response | undefined> {
  for await (const response of responses) return response;
  return undefined;
}
const healthz = async (pulse: TestPulse) => (await fetch(`${pulse.server.url}/healthz`)).json();

describe("Pulse does not start", () => {
  it.each(["0.0.0.0", "::", "192.0.2.1", "127.example.org", "::ffff:127.0.0.1"])(
    "in plain text on %s, and touches nothing",
    async (host) => {
      const message = await refusal({ listen: { host, port: 0 } });
      expect(message).toContain(`everyone on the network of ${host} can read the tokens`);
      expect(message).toContain("--insecure");
      expect(await readdir(directory)).toEqual([]);
    },
  );

  it("on an address that is not this host's, and had warned what that would expose", async () => {
    const message = await refusal({ listen: { host: "192.0.2.1", port: 9696 }, insecure: true });
    expect(message).toMatch(/^192\.0\.2\.1:9696 is no address of this host .* --listen$/);
    expect(log.lines[0]).toMatchObject({ level: "warn", fields: { host: "192.0.2.1" } });
    expect(log.lines[0]?.msg).toMatch(/^pulse\.insecure: .*passwords of all download clients/);
  });

  it("on a port in use", async () => {
    const { port } = (await occupy()).address() as { port: number };
    expect(await refusal({ listen: { ...LOOPBACK, port } })).toMatch(
      new RegExp(`^127\\.0\\.0\\.1:${port} is in use: stop the program there, .* --listen$`),
    );
  });

  it("with a data directory below a file", async () => {
    await writeFile(join(directory, "file"), "");
    const dataDirectory = join(directory, "file", "data");
    expect(await refusal({ dataDirectory })).toMatch(/ENOTDIR.*--data/);
  });

  it("with a file in the place of its tokens", async () => {
    await writeFile(join(directory, "tokens"), "");
    expect(await refusal({})).toMatch(/cannot be written \(ENOTDIR\).*--data/);
  });

  it("and leaves no timer behind", async () => {
    await writeFile(join(directory, "tokens"), "");
    const clock = new ManualClock();
    await refusal({ clock });
    expect(clock.pending).toBe(0);
  });

  it("on the database of a newer Pulse", async () => {
    await (await start()).stop();
    tamper("update schema_version set version = 99");
    expect(await refusal({})).toMatch(/newer Pulse \(schema 99, .*: start that version/);
  });

  it.each(["mysql://db/pulse", "db.example.org", ""])(
    "with %j for a database, and says what one looks like",
    async (database) => {
      expect(await refusal({ database })).toMatch(
        /must be given as a URL such as postgres:\/\/user@host:5432\/pulse/,
      );
    },
  );

  it("with a database where nobody answers, and shows no password", async () => {
    const occupant = await occupy();
    const { port } = occupant.address() as { port: number };
    await new Promise((resolve) => occupant.close(resolve));
    const database = `postgres://pulse:s3cret@127.0.0.1:${port}/registry`;
    const message = await refusal({ database });
    expect(message).toContain(`postgres://127.0.0.1:${port}/registry cannot be used`);
    expect(message).toMatch(/start it, or give another URL/);
    expect(message + JSON.stringify(log.lines)).not.toContain("s3cret");
  });

  it("but gives back what it had taken, so that it starts once the cause is gone", async () => {
    const occupant = await occupy();
    const { port } = occupant.address() as { port: number };
    await refusal({ listen: { ...LOOPBACK, port } });
    await new Promise((resolve) => occupant.close(resolve));
    expect((await start({ listen: { ...LOOPBACK, port } })).port).toBe(port);
  });
});

describePostgres("Pulse that does not start on a shared database", () => {
  it("gives back its place among the nodes, and leaves no timer behind", async () => {
    const { url } = await createDatabase();
    await writeFile(join(directory, "tokens"), "");
    const secretKey = "0".repeat(64);
    expect(await refusal({ database: url, secretKey })).toMatch(/ENOTDIR.*--data/);
    await rm(join(directory, "tokens"));
    await start({ database: url, secretKey });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query("select name from nodes");
    await client.end();
    expect(rows).toHaveLength(1);
  });
});

describe("Pulse starts", () => {
  it.each(["127.0.0.1", "127.0.0.2", "localhost"])(
    "on %s without a warning, and says where it listens",
    async (host) => {
      const server = await start({ listen: { host, port: 0 } });
      expect(log.lines).toMatchObject([
        { level: "info", msg: "pulse.listening", fields: { url: server.url, services: 0 } },
      ]);
      expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    },
  );

  it("and logs none of its tokens", async () => {
    const pulse = await TestPulse.start({ dataDirectory: directory });
    onTestFinished(() => pulse.stop());
    const text = JSON.stringify(pulse.log.lines);
    for (const name of ["service", "admin"] as const)
      expect(text).not.toContain(await pulse.fileToken(name));
  });
});

it("a stop is one, however often it is asked for, and gives the data directory back", async () => {
  const server = await start();
  const stopping = server.stop();
  expect(server.stop()).toBe(stopping);
  await stopping;
  expect(log.lines.map(({ msg }) => msg)).toEqual([
    "pulse.listening",
    "pulse.draining",
    "pulse.stopped",
  ]);
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
  await start();
});

describe("a database that another program has written to", () => {
  let pulse: TestPulse;
  beforeEach(async () => {
    pulse = await TestPulse.start({ dataDirectory: directory });
    onTestFinished(() => pulse.stop());
  });

  it("fails every Register from then on, and says so once, with what to do", async () => {
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    const { lease, revision } = await registry.register(HAUL);
    tamper("update clock set rev = rev + 1");
    for (const instanceId of ["one", "two"])
      expect(await failure(registry.register({ ...HAUL, instanceId }))).toMatchObject({
        code: "Unavailable",
        reason: "STORE_UNAVAILABLE",
        retryAfterMs: 2_000,
      });
    const failed = await pulse.server.failed;
    expect(failed).toBeInstanceOf(StartError);
    expect(failed.message).toBe(
      `another program has written to the database in ${directory}: end it, and start Pulse anew`,
    );
    expect(await health(pulse, "")).toBe("NOT_SERVING");

    // Whoever is registered does not suffer for it.
    const stream = new HeartbeatClient(registry);
    expect(await stream.beat({ leaseId: lease?.id ?? "" })).toMatchObject({ case: "renewed" });
    expect((await registry.listServices({})).revision).toBe(revision);
    await stream.end();
  });

  it("is no cause to fail if it was only read", async () => {
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    tamper("select * from services");
    await registry.register(HAUL);
    expect(await health(pulse, "")).toBe("SERVING");
  });
});

it("health says that expiry is held while too many lapse at once, and when that is over", async () => {
  const clock = new ManualClock();
  /** Lets time pass until `call` has settled. */
  async function meanwhile<T>(call: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    call.then(settled, settled);
    while (!isSettled) await clock.advance(1);
    return call;
  }
  const pulse = await meanwhile(TestPulse.start({ dataDirectory: directory, clock }));
  onTestFinished(() => meanwhile(pulse.stop()));
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  const instances = ["1", "2", "3", "4", "5", "6"];
  await meanwhile(
    Promise.all(instances.map((instanceId) => registry.register({ ...HAUL, instanceId }))),
  );
  const seen = async () => [await healthz(pulse), await health(pulse, "pulse.expiry")];
  expect(await meanwhile(seen())).toEqual([{ status: "ok", store: "ok", expiry: "ok" }, "SERVING"]);
  await clock.advance(16_000);
  expect(await meanwhile(seen())).toEqual([
    { status: "ok", store: "ok", expiry: "held" },
    "NOT_SERVING",
  ]);
  expect(await meanwhile(health(pulse, ""))).toBe("SERVING");
  await clock.advance(16_000);
  expect(await meanwhile(seen())).toEqual([{ status: "ok", store: "ok", expiry: "ok" }, "SERVING"]);
  expect(pulse.log.lines.map(({ msg }) => msg)).toContain("expiry.held");
});

describe("watches", () => {
  let pulse: TestPulse;
  async function start(options: Partial<PulseOptions> = {}): Promise<void> {
    pulse = await TestPulse.start({ dataDirectory: directory, ...options });
    onTestFinished(() => pulse.stop());
  }
  const clients = async (protocol: WireProtocol = "gRPC") =>
    pulse.clients(protocol, await pulse.fileToken("admin"));

  it.each(PROTOCOLS)("that are given up leave their place to others, over %s", async (protocol) => {
    await start({ watch: { maxWatchers: 1, bookmarkIntervalMs: 100 } });
    const { downloadClients } = await clients(protocol);
    for (let i = 0; i < 3; i++) {
      const caller = new AbortController();
      // The place is free as soon as Pulse hears that the one before is gone.
      await eventually(async () => {
        const watch = downloadClients.watchDownloadClients({}, { signal: caller.signal });
        const first = await watch[Symbol.asyncIterator]().next();
        expect(first.value?.event.case).toBe("snapshot");
      });
      expect(await failure(firstOf(downloadClients.watchDownloadClients({})))).toMatchObject({
        code: "ResourceExhausted",
        reason: "TOO_MANY_WATCHERS",
        retryAfterMs: 5_000,
      });
      caller.abort();
    }
  });

  it("carry settings that are nested as deep as they may be", async () => {
    await start();
    const { downloadClients } = await clients();
    let settings: JsonObject = {};
    for (let depth = 1; depth < 32; depth++) settings = { a: settings };
    const watch = downloadClients.watchDownloadClients({})[Symbol.asyncIterator]();
    await watch.next();
    const made = { name: "deep", kind: "aria2", host: "nas", port: 6_800, settings };
    await downloadClients.createDownloadClient({ downloadClient: made });
    const { event } = (await watch.next()).value ?? {};
    expect(event?.case === "change" && event.value.downloadClient?.settings).toEqual(settings);
    await watch.return?.();
    const tooDeep = { ...made, name: "deeper", settings: { a: settings } };
    expect(
      await failure(downloadClients.createDownloadClient({ downloadClient: tooDeep })),
    ).toMatchObject({ code: "InvalidArgument", fields: ["download_client.settings"] });
  });

  it("resume over a restart, and timelines go on", async () => {
    await start();
    const { registry, downloadClients } = await clients();
    const { service } = await registry.register(HAUL);
    const { resumeToken } = await downloadClients.listDownloadClients({});
    const { downloadClient } = await downloadClients.createDownloadClient({
      downloadClient: { name: "by hand", kind: "aria2", host: "nas", port: 6_800 },
    });
    await pulse.restart();
    const watch = downloadClients.watchDownloadClients({ resumeToken })[Symbol.asyncIterator]();
    const told = [await watch.next(), await watch.next()].map(({ value }) => value?.event);
    expect(told).toMatchObject([
      { case: "change", value: { downloadClient: { id: downloadClient?.id, name: "by hand" } } },
      { case: "bookmark" },
    ]);
    await watch.return?.();
    const { timeline, truncated } = await registry.explainService({ id: HAUL.instanceId });
    expect(timeline.map(({ reason }) => reason)).toEqual(["registered", "registered"]);
    expect(truncated).toBe(false);
    expect(await registry.explainService({ id: service?.id ?? "" })).toMatchObject({ truncated });
    expect(await failure(registry.explainService({ id: "nobody" }))).toMatchObject({
      code: "NotFound",
    });
  });

  it("after a restart with less history begin anew, and say why", async () => {
    await start({ history: { maxCommits: 2 } });
    const { registry, downloadClients } = await clients();
    const { resumeToken } = await downloadClients.listDownloadClients({});
    for (const instanceId of ["1", "2", "3"]) await registry.register({ ...HAUL, instanceId });
    await pulse.restart();
    const response = await firstOf(downloadClients.watchDownloadClients({ resumeToken }));
    expect(response?.event).toMatchObject({
      case: "snapshot",
      value: { more: false, reason: SnapshotReason.COMPACTED },
    });
    const { timeline, truncated } = await registry.explainService({ id: "1" });
    expect({ timeline, truncated }).toEqual({ timeline: [], truncated: true });
  });
});

it("a timeline says that two processes have shared an identity, and not that one came back", async () => {
  const pulse = await TestPulse.start({ dataDirectory: directory });
  onTestFinished(() => pulse.stop());
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  const first = await registry.register(HAUL);
  const stream = new HeartbeatClient(registry);
  await stream.beat({ leaseId: first.lease?.id ?? "" });
  const own = await registry.register({ ...HAUL, leaseId: first.lease?.id ?? "" });
  expect(await stream.event()).toMatchObject({ case: "leaseLost" }); // of the lease before
  await stream.beat({ leaseId: own.lease?.id ?? "" });
  await registry.register(HAUL);
  const { timeline } = await registry.explainService({ id: HAUL.instanceId });
  const ofService = timeline.filter(({ subject }) => subject === TimelineSubject.SERVICE);
  expect(ofService.map(({ reason }) => reason)).toEqual([
    "registered",
    "re-registered",
    "superseded",
  ]);
  await stream.end();
});

it("entries of the audit log go with their age, and stay without one", async () => {
  const pulse = await TestPulse.start({ auditAgeMs: Number.POSITIVE_INFINITY });
  onTestFinished(() => pulse.stop());
  const { audit, registry } = pulse.clients("gRPC", await pulse.fileToken("admin"));
  const actions = async () =>
    (await audit.listAuditEntries({})).entries.map(({ action }) => AuditAction[action]);
  await registry.register(HAUL);
  await pulse.restart();
  expect(await actions()).toEqual(["REGISTERED"]);
  Object.assign(pulse.options, { auditAgeMs: 1 });
  await pulse.restart();
  await eventually(async () => expect(await actions()).toEqual([]));
});

it("a service that is away for too long is forgotten, and gets back what its operator had set", async () => {
  const pulse = await TestPulse.start({
    dataDirectory: directory,
    forgetAfterMs: 500,
    policy: { minTtlMs: 100 },
  });
  onTestFinished(() => pulse.stop());
  const { registry, downloadClients } = pulse.clients("gRPC", await pulse.fileToken("admin"));
  const requestedTtl = { seconds: 0n, nanos: 200_000_000 };
  const { downloadClient, service } = await registry.register({ ...HAUL, requestedTtl });
  const id = downloadClient?.id ?? "";
  await downloadClients.updateDownloadClient({
    downloadClient: { id, name: "mine", priority: 7, tags: ["fast"] },
    updateMask: { paths: ["name", "priority", "tags"] },
  });
  await eventually(async () => {
    expect((await registry.listServices({})).services).toEqual([]);
    expect((await downloadClients.listDownloadClients({})).downloadClients).toEqual([]);
  });
  const { timeline, service: gone } = await registry.explainService({ id: HAUL.instanceId });
  expect(gone).toBeUndefined();
  expect(timeline.at(-1)?.reason).toBe("forgotten");
  expect(pulse.log.lines.map(({ msg }) => msg)).toContain("service.forgotten");
  const back = await registry.register(HAUL);
  expect(back.service?.id).toBe(service?.id);
  expect(back.downloadClient).toMatchObject({ id, name: "mine", priority: 7, tags: ["fast"] });
});
