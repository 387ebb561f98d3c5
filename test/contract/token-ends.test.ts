import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL, Scope, TestPulse } from "../support/pulse.js";
import { describeContract, type PulseUnderTest, TestNodes } from "../support/pulse-nodes.js";
import { failure, type Status } from "../support/status.js";

/** Within a second of the commit, and what a busy machine adds. */
const CUT_WITHIN_MS = 3_000;

describeContract(({ protocol, start }) => {
  /** What HTTP/1.1 cannot carry, or what is the same by every protocol. */
  const onGrpc = protocol === "gRPC" ? it : () => {};
  let pulse: PulseUnderTest;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start();
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  /** Ends with the status that ends the watch, once it has begun. */
  function endOf(responses: AsyncIterable<unknown>): {
    readonly begun: Promise<unknown>;
    readonly end: Promise<Status>;
  } {
    const iterator = responses[Symbol.asyncIterator]();
    const begun = iterator.next();
    const rest = async () => {
      await begun;
      while (!(await iterator.next()).done);
    };
    return { begun, end: failure(rest()) };
  }

  async function openWatches(token: string) {
    const { registry, downloadClients } = pulse.clients(protocol, token);
    // Two of each: where there are two nodes, each has one.
    const watches = [1, 2].flatMap(() => [
      endOf(registry.watchServices({})),
      endOf(downloadClients.watchDownloadClients({})),
    ]);
    await Promise.all(watches.map(({ begun }) => begun));
    return Promise.all(watches.map(({ end }) => end));
  }

  it("both watches end as their token is revoked, on whichever node they are", async () => {
    const { id, token } = await admin.tokens.createToken({
      name: "watches",
      scopes: [Scope.OBSERVE],
    });
    const other = pulse.clients(protocol, await pulse.fileToken("service"));
    const stays = endOf(other.registry.watchServices({}));
    await stays.begun;
    const ends = openWatches(token);
    // Once all have begun.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const revokedAt = performance.now();
    await admin.tokens.revokeToken({ id });
    for (const end of await ends)
      expect(end).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_INVALID" });
    expect(performance.now() - revokedAt).toBeLessThan(CUT_WITHIN_MS);
    const still = await Promise.race([stays.end, Promise.resolve("open")]);
    expect(still).toBe("open");
  });

  it("both watches end as their token expires", async () => {
    const expiresAt = Date.now() + 1_500;
    const { token } = await admin.tokens.createToken({
      name: "expires",
      scopes: [Scope.OBSERVE],
      expireTime: timestampFromMs(expiresAt),
    });
    for (const end of await openWatches(token))
      expect(end).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_EXPIRED" });
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
    expect(Date.now() - expiresAt).toBeLessThan(CUT_WITHIN_MS);
  });

  onGrpc(
    "a heartbeat stream ends with its token, which is no goodbye: the instance has its grace",
    async () => {
      const { id, token } = await admin.tokens.createToken({
        name: "beats",
        scopes: [Scope.REGISTER],
      });
      const { registry } = pulse.clients(protocol, token);
      const { lease, service } = await registry.register({ ...HAUL, requestedTtl: LONG_TTL });
      // Two, each at its node: the newest has the lease.
      const streams = [new HeartbeatClient(registry), new HeartbeatClient(registry)];
      for (const stream of streams)
        expect(await stream.beat({ leaseId: lease?.id ?? "", sequence: 1n })).toMatchObject({
          case: "renewed",
        });
      const ends = streams.map((stream) => failure(stream.event()));
      await admin.tokens.revokeToken({ id });
      for (const end of await Promise.all(ends))
        expect(end).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_INVALID" });
      const shown = async () =>
        (await admin.registry.getService({ id: service?.id ?? "" })).service;
      expect((await shown())?.status).toBe(ServiceStatus.ONLINE);
      await eventually(async () => {
        expect(await shown()).toMatchObject({
          status: ServiceStatus.OFFLINE,
          statusReason: "disconnected",
        });
      }, 10_000);
    },
  );

  it("a token shows when it was used last, and how it ends", async () => {
    const expireTime = timestampFromMs(Date.now() + 3_600_000);
    const { id, token } = await admin.tokens.createToken({
      name: "used",
      scopes: [Scope.OBSERVE],
      expireTime,
    });
    const shown = async () => (await admin.tokens.listTokens({})).tokens.find((t) => t.id === id);
    expect(await shown()).toMatchObject({ expireTime });
    expect((await shown())?.lastUsedTime).toBeUndefined();
    const { registry } = pulse.clients(protocol, token);
    const from = Math.floor(Date.now() / 1_000);
    for (let i = 0; i < 2; i++) await registry.listServices({});
    const usedAt = Number((await shown())?.lastUsedTime?.seconds);
    expect(usedAt).toBeGreaterThanOrEqual(from);
    await pulse.restart();
    await eventually(async () =>
      expect(Number((await shown())?.lastUsedTime?.seconds)).toBe(usedAt),
    );
  });

  onGrpc("no secret of a token is anywhere but in its reply", async () => {
    const secrets: string[] = [];
    const texts: string[] = [];
    const see = (value: unknown) =>
      void texts.push(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v)));
    const made = await admin.tokens.createToken({
      name: "secret",
      scopes: [Scope.JOIN],
      maxUses: 1,
    });
    const joining = pulse.clients(protocol, made.token).registry;
    const lost = await joining.register({ ...HAUL, instanceId: "sec", requestedTtl: LONG_TTL });
    const joined = await joining.register({ ...HAUL, instanceId: "sec", requestedTtl: LONG_TTL });
    secrets.push(made.token, lost.instanceToken, joined.instanceToken);
    const own = pulse.clients(protocol, joined.instanceToken).registry;
    see(await failure(joining.register({ ...HAUL, instanceId: "another" })));
    see(await failure(own.register({ ...HAUL, instanceId: "another" })));
    see(await failure(own.listServices({})));
    see(await own.register({ ...HAUL, instanceId: "sec", requestedTtl: LONG_TTL }));
    await admin.tokens.revokeToken({ id: made.id }).then(see);
    see(await failure(joining.register({ ...HAUL, instanceId: "sec" })));
    see(await admin.tokens.listTokens({}));
    see(await admin.registry.listServices({}));
    for (const { log } of pulse instanceof TestNodes ? pulse.nodes : [pulse as TestPulse])
      see(log.lines);
    const databaseAt = texts.join("\n").length;
    if (pulse instanceof TestPulse) {
      const { dataDirectory } = pulse;
      await pulse.restart(); // so that all of it is in the file
      for (const name of await readdir(dataDirectory))
        if (name.startsWith("pulse.db"))
          texts.push((await readFile(join(dataDirectory, name))).toString("latin1"));
    } else if (pulse instanceof TestNodes) {
      const client = new pg.Client(pulse.databaseUrl);
      await client.connect();
      const { rows } = await client.query(
        "select table_name from information_schema.tables where table_schema = current_schema()",
      );
      for (const { table_name } of rows)
        see((await client.query(`select t::text from "${table_name}" t`)).rows);
      await client.end();
    } else expect.unreachable("another kind of Pulse");
    const all = texts.join("\n");
    // Of the database, which comes last: it is looked at in the right place.
    expect(all.slice(databaseAt)).toContain("(joined with secret)");
    for (const secret of secrets) {
      expect(secret).toMatch(/^pulse_/);
      expect(all.includes(secret.slice(-43))).toBe(false);
    }
  });
});
