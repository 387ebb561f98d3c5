import { timestampMs } from "@bufbuild/protobuf/wkt";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { describePostgres } from "../support/postgres.js";
import { type Clients, HAUL, LONG_TTL, Scope, type TestPulse } from "../support/pulse.js";
import { TestNodes } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";
import { readDatabaseHistory } from "../support/watch-database.js";
import { WatchReader } from "../support/watch-reader.js";
import { type OpenWatch, RecordedWatcher } from "../support/watch-recorder.js";
import type { Truth } from "../support/watch-recording.js";
import { atomic, bookmarkable, ordered, reliable, unique } from "../support/watch-validators.js";

// What nodes that share a PostgreSQL promise, beyond what each of them promises alone.

describePostgres("several nodes", () => {
  let nodes: TestNodes;
  /** Of each node, by gRPC, with a token that the first has made. */
  let clients: readonly Clients[];
  let [one, two, three] = [] as unknown as [Clients, Clients, Clients];
  beforeAll(async () => {
    nodes = await TestNodes.start({ watch: { bookmarkIntervalMs: 200 } }, 3);
    const admin = await nodes.fileToken("admin");
    clients = nodes.nodes.map((node) => node.clients("gRPC", admin));
    [one, two, three] = clients as [Clients, Clients, Clients];
  });
  afterAll(() => nodes?.stop());

  const haul = (name: string) => ({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
  });

  /** Waits until a node has written down that it has the service's stream. */
  async function claimed(id: string): Promise<void> {
    const client = new pg.Client(nodes.databaseUrl);
    await client.connect();
    await eventually(async () => {
      const { rows } = await client.query("select node_id from services where id = $1", [id]);
      expect(rows[0]?.node_id).toEqual(expect.any(String));
    }).finally(() => client.end());
  }

  it("answer anything, each as the others do", async () => {
    const { service, lease, revision, epoch } = await one.registry.register(haul("anything"));
    const id = service?.id ?? "";
    const leaseId = lease?.id ?? "";
    const stream = new HeartbeatClient(two.registry);
    expect(await stream.beat({ leaseId, sequence: 1n })).toMatchObject({ case: "renewed" });
    stream.break();
    const again = new HeartbeatClient(three.registry);
    expect(await again.beat({ leaseId, sequence: 2n })).toMatchObject({ case: "renewed" });

    const lists = await Promise.all(clients.map(({ registry }) => registry.listServices({})));
    for (const list of lists) {
      expect(list).toMatchObject({ revision, stale: false });
      expect(list.resumeToken).toBe(lists[0]?.resumeToken);
      expect(list.services).toMatchObject([{ id, status: ServiceStatus.ONLINE, revision }]);
    }
    const [first, ...others] = await Promise.all(
      clients.map(({ registry }) => registry.explainService({ id })),
    );
    expect(first?.timeline).toMatchObject([{ revision, reason: "registered" }, { revision }]);
    for (const { timeline } of others) expect(timeline).toEqual(first?.timeline);
    const entries = await Promise.all(
      clients.map(({ downloadClients }) => downloadClients.listDownloadClients({})),
    );
    for (const { downloadClients } of entries)
      expect(downloadClients).toMatchObject([{ name: "anything", password: HAUL.serviceApiKey }]);
    expect((await two.registry.register(haul("anything"))).epoch).toBe(epoch);
    again.break();
  });

  it("resume each other's watches, and go on with each other's pages", async () => {
    const { resumeToken } = await one.registry.listServices({});
    for (const name of ["page-1", "page-2", "page-3"]) await two.registry.register(haul(name));
    const watch = new WatchReader((options) =>
      three.registry.watchServices({ resumeToken }, options),
    );
    for (const name of ["page-1", "page-2", "page-3"])
      expect(await watch.change()).toMatchObject({
        what: "PUT: registered",
        service: { spec: { name } },
      });
    await watch.bookmark();
    watch.close();
    const next = new WatchReader((options) =>
      one.registry.watchServices({ resumeToken: watch.token }, options),
    );
    await next.bookmark();
    next.close();

    const names: (string | undefined)[] = [];
    let pageToken = "";
    for (let page = 0; page === 0 || pageToken !== ""; page++) {
      const { registry } = clients[page % 3] as Clients;
      const list = await registry.listServices({ pageSize: 1, pageToken });
      names.push(...list.services.map(({ spec }) => spec?.name));
      pageToken = list.nextPageToken;
    }
    expect(names.sort()).toEqual(["anything", "page-1", "page-2", "page-3"]);
  });

  it("know a token at once that another has made, and that it is revoked", async () => {
    const made = await one.tokens.createToken({ name: "made", scopes: [Scope.OBSERVE] });
    const [, second, third] = nodes.nodes;
    const calls = [second, third].map((node) => node?.clients("gRPC", made.token).registry);
    for (const registry of calls) expect((await registry?.listServices({}))?.stale).toBe(false);
    await two.tokens.revokeToken({ id: made.id });
    for (const registry of calls)
      expect(await failure(registry?.listServices({}) ?? Promise.resolve())).toMatchObject({
        reason: "TOKEN_INVALID",
      });
  });

  it("let nobody do anything with a token from its revocation on, wherever that was", async () => {
    for (let round = 0; round < 20; round++) {
      const scopes = [Scope.OBSERVE, Scope.REGISTER];
      const made = await one.tokens.createToken({ name: "short", scopes });
      const { registry } = (nodes.nodes[2] as TestPulse).clients("gRPC", made.token);
      await registry.listServices({});
      await two.tokens.revokeToken({ id: made.id });
      const calls = [registry.listServices({}), registry.register(haul("late"))];
      const failures = await Promise.all(calls.map((call) => failure(call)));
      for (const each of failures) expect(each).toMatchObject({ reason: "TOKEN_INVALID" });
    }
  });

  it("tell the older generation that it is superseded, wherever it is", async () => {
    const { service, lease } = await one.registry.register(haul("fenced"));
    const leaseId = lease?.id ?? "";
    const older = new HeartbeatClient(one.registry);
    await older.beat({ leaseId });
    const id = service?.id ?? "";
    await claimed(id);
    expect((await two.registry.register(haul("fenced"))).generation).toBe(2n);
    const lost = { leaseId, reason: LeaseLostReason.SUPERSEDED };
    expect(await older.event()).toMatchObject({ case: "leaseLost", value: lost });
    const late = new HeartbeatClient(three.registry);
    // A node may be some ms behind: then it finds out as it takes the instance.
    const first = await late.beat({ leaseId });
    const told = first.case === "renewed" ? await late.event() : first;
    expect(told).toMatchObject({ case: "leaseLost", value: lost });
    const { timeline } = await three.registry.explainService({ id });
    expect(timeline.map(({ reason }) => reason)).toContain("superseded");
    older.break();
    late.break();
  });

  it("see before long how busy an instance is that another has, and when it was last heard of", async () => {
    const { service, lease } = await one.registry.register(haul("busy"));
    const stream = new HeartbeatClient(one.registry);
    const at = Date.now();
    await stream.beat({ leaseId: lease?.id ?? "", load: { active: 7 } });
    await eventually(async () => {
      const [{ services }, { downloadClients }] = await Promise.all([
        two.registry.listServices({}),
        three.downloadClients.listDownloadClients({}),
      ]);
      const seen = services.find(({ id }) => id === service?.id)?.lastSeenTime;
      expect(seen && timestampMs(seen)).toBeGreaterThanOrEqual(at);
      const entry = downloadClients.find(({ serviceId }) => serviceId === service?.id);
      expect(entry?.load).toMatchObject({ active: 7 });
    }, 12_000); // 2 s until the one tells, as long until the other reads it, and a busy machine
    // A stream that breaks would be a change of its own in 3 s, in the middle of another test.
    await stream.beat({ leaseId: lease?.id ?? "", goodbye: true });
    await stream.end();
  });

  it("tell the same history to all watchers while 32 write at once", async () => {
    const all = { matches: () => true, withCredentials: true };
    let truths: { readonly entries: Truth; readonly services: Truth } | undefined;
    const truthOf = (topic: "entries" | "services"): Truth => ({
      stateAt: (token) => truths?.[topic].stateAt(token),
      between: (from, to) => truths?.[topic].between(from, to),
    });
    const watchers = clients.flatMap(({ registry, downloadClients }, n) => {
      const entries: OpenWatch = (resumeToken, signal) =>
        downloadClients.watchDownloadClients({ resumeToken }, { signal });
      const services: OpenWatch = (resumeToken, signal) =>
        registry.watchServices({ resumeToken }, { signal });
      return [
        new RecordedWatcher({
          name: `entries on ${n}`,
          open: entries,
          truth: truthOf("entries"),
        }),
        new RecordedWatcher({
          name: `services on ${n}`,
          open: services,
          truth: truthOf("services"),
        }),
      ];
    });
    await eventually(() => {
      if (watchers.some(({ token }) => token === "")) throw new Error("not all watch yet");
    });
    const before = (await one.registry.listServices({})).revision;

    const [writers, rounds] = [32, 20];
    const revisions = await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const own: bigint[] = [];
        for (let round = 0; round < rounds; round++) {
          const { registry } = clients[(writer + round) % 3] as Clients;
          own.push((await registry.register(haul(`w${writer}-${round}`))).revision);
        }
        expect(own).toEqual([...own].sort((a, b) => Number(a - b))); // each sees its own before
        return own;
      }),
    );
    const expected = Array.from({ length: writers * rounds }, (_, n) => before + BigInt(n + 1));
    expect(revisions.flat().sort((a, b) => Number(a - b))).toEqual(expected);

    const { resumeToken } = await two.registry.listServices({ pageSize: 1 });
    await eventually(() => {
      for (const { token, name } of watchers)
        if (token !== resumeToken) throw new Error(`${name} is not up to date`);
    });
    await Promise.all(watchers.map((watcher) => watcher.stop()));
    const { history, broken } = await readDatabaseHistory(nodes.databaseUrl, nodes.secretKey);
    truths = { entries: history.entries(all), services: history.services(all) };
    expect(broken).toEqual([]);
    for (const [name, validate] of Object.entries({
      ordered,
      unique,
      atomic,
      reliable,
      bookmarkable,
    }))
      expect([name, watchers.flatMap(validate)]).toEqual([name, []]);
    for (const { streams, name } of watchers) {
      // Each is another instance: nothing takes the place of anything.
      const told = streams.flatMap(({ responses }) =>
        responses.filter(({ event }) => event.kind === "put").map(({ revision }) => revision),
      );
      expect([name, told]).toEqual([name, expected]);
    }
  });
});
