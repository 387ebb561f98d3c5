import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Availability, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { readResumeToken, writeResumeToken } from "../../src/pulse/resume-token.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, PROTOCOLS, Scope, TestPulse } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";
import { WatchReader } from "../support/watch-reader.js";

/** A Register of an instance of its own. */
const haul = (name: string, service: object = {}) => ({
  ...HAUL,
  service: { ...HAUL.service, name, ...service },
  instanceId: `instance-of-${name}`,
});

function watchEntries({ downloadClients }: Clients, request: object = {}) {
  const watch = new WatchReader((options) =>
    downloadClients.watchDownloadClients(request, options),
  );
  onTestFinished(() => watch.close());
  return watch;
}

function watchServices({ registry }: Clients, request: object = {}) {
  const watch = new WatchReader((options) => registry.watchServices(request, options));
  onTestFinished(() => watch.close());
  return watch;
}

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let clients: Clients;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start({ watch: { bookmarkIntervalMs: 150 } });
    clients = pulse.clients(protocol, await pulse.fileToken("service"));
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  it("the first message comes at once and is the whole state, also of an empty registry", async () => {
    const { revision, resumeToken } = await clients.registry.listServices({});
    for (const watch of [watchEntries(clients), watchServices(clients)]) {
      expect(await watch.next()).toMatchObject({
        event: { case: "snapshot", value: { more: false, reason: 1 } },
        revision,
        resumeToken,
        bookmarkInterval: { seconds: 0n, nanos: 150_000_000 },
      });
    }
  });

  it("every change comes with all of the item and its reason, in the order of revisions", async () => {
    const request = haul("told");
    const { instanceId, instanceSecret } = request;
    const [entries, services] = [watchEntries(clients), watchServices(clients)];
    await entries.snapshot();
    await services.snapshot();

    const first = await clients.registry.register(request);
    const { downloadClient: entry } = first;
    expect(await entries.change()).toMatchObject({
      what: "PUT: registered",
      revision: first.revision,
      downloadClient: {
        id: entry?.id,
        name: "told",
        password: HAUL.serviceApiKey,
        etag: entry?.etag,
      },
    });
    expect(await services.change()).toMatchObject({
      what: "PUT: registered",
      revision: first.revision,
      service: { id: first.service?.id, spec: { name: "told" }, status: ServiceStatus.ONLINE },
    });

    // The entry is the same, so only those who watch services hear of it.
    const second = await clients.registry.register(request);
    expect(await services.change()).toMatchObject({
      what: "PUT: re-registered",
      revision: second.revision,
      service: { generation: 2n },
    });
    const third = await clients.registry.register(haul("told", { apiUrl: "http://10.0.0.1:99" }));
    expect(await entries.change()).toMatchObject({
      what: "PUT: re-registered",
      revision: third.revision,
      downloadClient: { host: "10.0.0.1", port: 99 },
    });

    const gone = await clients.registry.deregister({ instanceId, instanceSecret });
    const deleted = await entries.change();
    expect(deleted).toMatchObject({
      what: "DELETE: deregistered",
      revision: gone.revision,
      downloadClient: { id: entry?.id, name: "told", host: "", password: "" },
    });
    await services.change();
    expect(await services.change()).toMatchObject({
      what: "DELETE: deregistered",
      service: { id: first.service?.id },
    });
  });

  it("what an operator does by hand comes with the name of his token", async () => {
    const watch = watchEntries(clients);
    await watch.snapshot();
    const target = { name: "by hand", kind: "sabnzbd", host: "nas.local", port: 8080 };
    const { downloadClients } = admin;
    const { downloadClient } = await downloadClients.createDownloadClient({
      downloadClient: target,
    });
    const id = downloadClient?.id ?? "";
    await downloadClients.updateDownloadClient({
      downloadClient: { id, priority: 7 },
      updateMask: { paths: ["priority"] },
    });
    await downloadClients.deleteDownloadClient({ id });
    expect(await watch.change()).toMatchObject({
      what: "PUT: created by admin",
      downloadClient: target,
    });
    expect(await watch.change()).toMatchObject({
      what: "PUT: edited by admin",
      downloadClient: { id, priority: 7 },
    });
    expect(await watch.change()).toMatchObject({
      what: "DELETE: deleted by admin",
      downloadClient: { id, name: "by hand" },
    });
  });

  it("a resume token brings what changed since, each item once, and then a bookmark", async () => {
    const [kept, changed, removed] = [haul("kept"), haul("changed"), haul("removed")];
    for (const request of [kept, changed, removed]) await clients.registry.register(request);
    const before = watchEntries(clients);
    await before.snapshot();
    const listed = await clients.downloadClients.listDownloadClients({});
    expect(listed.resumeToken).toBe(before.token);

    for (const host of ["10.0.0.1", "10.0.0.2"])
      await clients.registry.register(haul("changed", { apiUrl: `http://${host}:1` }));
    await clients.registry.deregister(removed);
    const { revision, resumeToken } = await clients.downloadClients.listDownloadClients({});
    // From a watch or from a list: the same.
    for (const token of [before.token, listed.resumeToken]) {
      const watch = watchEntries(clients, { resumeToken: token });
      expect(await watch.change()).toMatchObject({ downloadClient: { host: "10.0.0.2" } });
      expect(await watch.change()).toMatchObject({
        what: "DELETE: deregistered",
        downloadClient: { name: "removed" },
      });
      expect(await watch.bookmark()).toMatchObject({ revision, resumeToken });
    }
  });

  it("a resume that missed nothing begins with a bookmark, at once", async () => {
    const { revision, resumeToken } = await clients.registry.listServices({});
    for (const watch of [
      watchEntries(clients, { resumeToken }),
      watchServices(clients, { resumeToken }),
    ])
      expect(await watch.bookmark()).toMatchObject({ revision, resumeToken });
  });

  it("bookmarks come while nothing happens, with the newest revision", async () => {
    const watch = watchEntries(clients, { kinds: ["nothing-of-the-kind"] });
    expect((await watch.snapshot()).downloadClients).toEqual([]);
    for (let n = 0; n < 3; n++) {
      const { revision } = await clients.registry.register(haul("elsewhere"));
      let response = await watch.bookmark();
      // One may have been on its way, where another node has just committed.
      while (response.revision < revision) response = await watch.bookmark();
      expect(response.revision).toBe(revision);
      expect(response.bookmarkInterval).toMatchObject({ nanos: 150_000_000 });
      expect(readResumeToken(response.resumeToken).revision).toBe(revision);
    }
  });

  it.each<[string, object, object, object]>([
    ["protocol", { protocol: Protocol.USENET }, { kind: "sabnzbd" }, {}],
    ["kind", { kinds: ["aria2", "deluge"] }, { kind: "deluge" }, {}],
    ["several", { kinds: ["aria2"], enabled: true }, { kind: "aria2" }, { kind: "deluge" }],
  ])(
    "entries are filtered by %s as in lists, and leaving is a DELETE",
    async (_, filter, inside, outside) => {
      await clients.registry.register(haul("filtered", outside));
      const watch = watchEntries(clients, filter);
      const ids = async () =>
        (await clients.downloadClients.listDownloadClients(filter)).downloadClients.map(
          ({ id }) => id,
        );
      const { downloadClients } = await watch.snapshot();
      expect(downloadClients.map(({ id }) => id).sort()).toEqual((await ids()).sort());
      const { downloadClient } = await clients.registry.register(haul("filtered", inside));
      const id = downloadClient?.id ?? "";
      expect(await watch.change()).toMatchObject({
        what: "PUT: re-registered",
        downloadClient: { id },
      });
      expect(await ids()).toContain(id);
      await clients.registry.register(haul("filtered", outside));
      expect(await watch.change()).toMatchObject({
        what: "DELETE: re-registered",
        downloadClient: { id, name: "filtered" },
      });
      expect(await ids()).not.toContain(id);
    },
  );

  it("services are filtered by type, capabilities and status, and leaving is a DELETE", async () => {
    const filter = {
      type: "media-manager",
      capabilities: ["tv"],
      statuses: [ServiceStatus.ONLINE],
    };
    const manager = (capabilities: string[], status = ServiceStatus.ONLINE) => ({
      ...haul("pilot", { type: "media-manager", capabilities }),
      status,
    });
    const watch = watchServices(clients, filter);
    expect((await watch.snapshot()).services).toEqual([]);
    await clients.registry.register(haul("no-manager"));
    const { service } = await clients.registry.register(manager(["tv", "films"]));
    const id = service?.id;
    expect(await watch.change()).toMatchObject({ what: "PUT: registered", service: { id } });
    await clients.registry.register(manager(["tv"], ServiceStatus.DEGRADED));
    expect(await watch.change()).toMatchObject({ what: "DELETE: re-registered", service: { id } });
    await clients.registry.register(manager(["tv"]));
    expect(await watch.change()).toMatchObject({ what: "PUT: re-registered", service: { id } });
    await clients.registry.register(manager(["films"]));
    expect(await watch.change()).toMatchObject({ what: "DELETE: re-registered", service: { id } });
  });

  it("an entry that left the filter while its watcher was away is a DELETE", async () => {
    const { downloadClient } = await clients.registry.register(haul("leaving", { kind: "aria2" }));
    const watch = watchEntries(clients, { kinds: ["aria2"] });
    await watch.snapshot();
    watch.close();
    await clients.registry.register(haul("leaving", { kind: "deluge" }));
    const resumed = watchEntries(clients, { kinds: ["aria2"], resumeToken: watch.token });
    expect(await resumed.change()).toMatchObject({
      what: "DELETE: re-registered",
      downloadClient: { id: downloadClient?.id },
    });
    await resumed.bookmark();
  });

  it("an entry that was seen before its commit's token came is taken back too", async () => {
    const [one, two] = await Promise.all(
      ["flapping-1", "flapping-2"].map((name) => clients.registry.register(haul(name))),
    );
    const enable = (reply: typeof one, enabled: boolean) =>
      admin.downloadClients.updateDownloadClient({
        downloadClient: { id: reply?.downloadClient?.id ?? "", enabled },
        updateMask: { paths: ["enabled"] },
      });
    await enable(one, false);
    await enable(two, false);
    const { resumeToken } = await clients.downloadClients.listDownloadClients({ enabled: true });
    await enable(one, true);
    await enable(two, true);
    const cut = watchEntries(clients, { enabled: true, resumeToken });
    expect(await cut.change()).toMatchObject({ downloadClient: { name: "flapping-1" } });
    expect(readResumeToken(cut.token).revision).toBe(readResumeToken(resumeToken).revision);
    cut.close();
    await enable(one, false);
    const resumed = watchEntries(clients, { enabled: true, resumeToken: cut.token });
    expect(await resumed.change()).toMatchObject({ downloadClient: { name: "flapping-2" } });
    expect(await resumed.change()).toMatchObject({
      what: "DELETE: edited by admin",
      downloadClient: { name: "flapping-1" },
    });
  });

  it("scope observe gets no credentials: not in snapshots, changes, overrides or after a resume", async () => {
    const observer = pulse.clients(protocol, await pulse.token(Scope.OBSERVE));
    const { downloadClient } = await clients.registry.register(haul("secretive"));
    const id = downloadClient?.id ?? "";
    const override = (password: string) =>
      admin.downloadClients.updateDownloadClient({
        downloadClient: { id, overrides: { host: "seen", username: "hidden", password } },
        updateMask: { paths: ["overrides"] },
      });
    await override("secret-1");
    const shown = { id, username: "", password: "", host: "seen", overrides: { host: "seen" } };
    const check = (entry: DownloadClient | undefined) => {
      expect(entry).toMatchObject(shown);
      expect(entry?.overrides).not.toHaveProperty("username");
      expect(entry?.overrides).not.toHaveProperty("password");
    };
    const [observing, full] = [watchEntries(observer), watchEntries(clients)];
    const { downloadClients } = await observing.snapshot();
    check(downloadClients.find((entry) => entry.id === id));
    expect(downloadClients.filter(({ username, password }) => username || password)).toEqual([]);
    await full.snapshot();
    await override("secret-2");
    check((await observing.change()).downloadClient);
    expect(await full.change()).toMatchObject({
      downloadClient: { password: "secret-2", overrides: { username: "hidden" } },
    });
    const { token } = observing;
    await override("secret-3");
    check((await watchEntries(observer, { resumeToken: token }).change()).downloadClient);
  });

  it("scope register alone is refused", async () => {
    const registrant = pulse.clients(protocol, await pulse.token(Scope.REGISTER));
    const watches = [watchEntries(registrant), watchServices(registrant)];
    for (const status of await Promise.all(watches.map((watch) => watch.failure())))
      expect(status).toMatchObject({
        code: "PermissionDenied",
        reason: "SCOPE_MISSING",
      });
  });

  it.each<[string, (token: string) => string]>([
    ["any text", () => "resume"],
    ["a page token", () => Buffer.from("1:haul").toString("base64url")],
    ["one with a space", (token) => `${token} `],
    ["half of one", (token) => token.slice(0, token.length / 2)],
    ["one of a version to come", (token) => changed(token, (text) => text.replace("1 ", "2 "))],
    [
      "one with a revision below 0",
      (token) => changed(token, (text) => text.replace(/ \d+ /, " -1 ")),
    ],
    ["a very long text", () => "A".repeat(8_000)],
  ])("a resume token that is none is refused by name: %s", async (_, spoil) => {
    const { resumeToken } = await clients.registry.listServices({});
    const request = { resumeToken: spoil(resumeToken) };
    const watches = [watchEntries(clients, request), watchServices(clients, request)];
    for (const status of await Promise.all(watches.map((watch) => watch.failure())))
      expect(status).toMatchObject({
        code: "InvalidArgument",
        reason: "FIELD_INVALID",
        fields: ["resume_token"],
      });
  });

  it.each<[string, (clients: Clients) => WatchReader<never>, string]>([
    [
      "an availability",
      (c) => watchEntries(c, { availabilities: [1, 99] }) as WatchReader<never>,
      "availabilities[1]",
    ],
    ["a protocol", (c) => watchEntries(c, { protocol: 99 }) as WatchReader<never>, "protocol"],
    ["a status", (c) => watchServices(c, { statuses: [99] }) as WatchReader<never>, "statuses[0]"],
  ])("a filter with %s that does not exist is refused by name", async (_, watch, field) => {
    expect(await watch(clients).failure()).toMatchObject({
      code: "InvalidArgument",
      fields: [field],
    });
  });

  it.each<[string, (token: string) => string, string]>([
    ["of another registry", (token) => forged(token, { epoch: "another" }), "OTHER_HISTORY"],
    ["of a history that was left", (token) => forged(token, { stamp: "another" }), "OTHER_HISTORY"],
    ["of the future", (token) => forged(token, { by: 1_000n }), "FUTURE"],
    [
      "of the future of another registry",
      (token) => forged(token, { epoch: "x", by: 9n }),
      "OTHER_HISTORY",
    ],
  ])(
    "a resume token %s brings a fresh snapshot on the same stream that says so",
    async (_, forge, why) => {
      await clients.registry.register(haul("present"));
      const { revision, resumeToken } = await clients.registry.listServices({});
      const request = { resumeToken: forge(resumeToken) };
      const entries = watchEntries(clients, request);
      const snapshot = await entries.snapshot();
      expect(snapshot.why).toBe(why);
      expect(snapshot.downloadClients.map(({ name }) => name)).toContain("present");
      expect(entries.token).toBe(resumeToken);
      const services = watchServices(clients, request);
      expect((await services.snapshot()).why).toBe(why);
      // And it goes on from there.
      const next = await clients.registry.register(haul("present", { version: "9" }));
      expect(next.revision).toBe(revision + 1n);
      expect(await entries.change()).toMatchObject({ revision: next.revision });
      expect(await services.change()).toMatchObject({ revision: next.revision });
    },
  );

  it("the end of the bearer token is the end of its watches, and of no other", async () => {
    const made = await admin.tokens.createToken({ name: "manager", scopes: [Scope.DISCOVER] });
    const manager = pulse.clients(protocol, made.token);
    const watches = [watchEntries(manager), watchServices(manager)];
    for (const watch of watches) await watch.snapshot();
    const other = watchEntries(clients);
    await other.snapshot();
    const failures = Promise.all(watches.map((watch) => watch.failure()));
    await admin.tokens.revokeToken({ id: made.id });
    for (const status of await failures)
      expect(status).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_INVALID" });
    await other.bookmark();
  });
});

/** A token as another Pulse, or this one at another time, might have written it. */
function forged(
  token: string,
  { by = 0n, ...change }: { by?: bigint; epoch?: string; stamp?: string },
) {
  const point = readResumeToken(token);
  return writeResumeToken({ ...point, revision: point.revision + by, ...change });
}

function changed(token: string, change: (text: string) => string): string {
  return Buffer.from(change(Buffer.from(token, "base64url").toString())).toString("base64url");
}

// What does not depend on how the bytes travel, but for the ends of streams.
describe("a watch", () => {
  async function start(options: Parameters<typeof TestPulse.start>[0] = {}) {
    const pulse = await TestPulse.start(options);
    onTestFinished(() => pulse.stop());
    const admin = pulse.clients("gRPC", await pulse.fileToken("admin"));
    return { pulse, admin };
  }

  const byHand = (n: number, size: number) => ({
    downloadClient: {
      name: `by hand ${n}`,
      kind: "aria2",
      host: "nas.local",
      port: 6800,
      settings: { text: randomBytes(size / 2).toString("hex") }, // HTTP/1.1 would pack anything else
    },
  });

  it.each(PROTOCOLS)(
    "of many begins with a snapshot in parts, whole with the last one, over %s",
    async (protocol) => {
      const { pulse, admin } = await start();
      const ids: string[] = [];
      for (let n = 0; n < 40; n++) {
        const made = await admin.downloadClients.createDownloadClient(byHand(n, 8_000));
        ids.push(made.downloadClient?.id ?? "");
      }
      const { revision, resumeToken } = await admin.downloadClients.listDownloadClients({});
      const watch = watchEntries(pulse.clients(protocol, await pulse.fileToken("service")));
      const seen: string[] = [];
      let parts = 0;
      for (let more = true; more; parts++) {
        const response = await watch.next();
        if (response.event.case !== "snapshot") throw new Error(`${response.event.case}`);
        const { value } = response.event;
        more = value.more;
        seen.push(...value.downloadClients.map(({ id }) => id));
        expect(response.revision).toBe(revision);
        expect(response.resumeToken).toBe(more ? "" : resumeToken);
      }
      expect(parts).toBeGreaterThan(3);
      expect(seen.sort()).toEqual(ids.sort());
    },
  );

  it("that begins while others commit has each change once, in the snapshot or after it", async () => {
    const { admin } = await start();
    const registering = Array.from({ length: 60 }, (_, n) =>
      admin.registry.register(haul(`n${n}`)),
    );
    const watches = Array.from({ length: 20 }, () => watchServices(admin));
    const names = await Promise.all(
      watches.map(async (watch) => {
        const seen = (await watch.snapshot()).services.map(({ spec }) => spec?.name);
        while (seen.length < 60) seen.push((await watch.change()).service?.spec?.name);
        return new Set(seen).size;
      }),
    );
    await Promise.all(registering);
    expect(new Set(names)).toEqual(new Set([60]));
  });

  it("resumes across a restart of Pulse, and is told of what it may have had and lost", async () => {
    const { pulse, admin } = await start();
    await admin.registry.register(haul("one"));
    await admin.registry.register(haul("two"));
    const watch = watchEntries(admin);
    await watch.snapshot();
    await admin.registry.deregister(haul("two"));
    await admin.registry.register(haul("three"));
    await pulse.restart();
    const resumed = watchEntries(admin, { resumeToken: watch.token });
    expect(await resumed.change()).toMatchObject({ what: "DELETE: deregistered" });
    expect(await resumed.change()).toMatchObject({
      what: "PUT: registered",
      downloadClient: { name: "three" },
    });
    await resumed.bookmark();
  });

  it("whose token is older than the history gets a fresh snapshot, marked COMPACTED", async () => {
    const { pulse, admin } = await start({ history: { maxCommits: 3 } });
    const tokens: string[] = [];
    for (let n = 0; n < 8; n++) {
      await admin.registry.register(haul(`n${n}`));
      tokens.push((await admin.registry.listServices({})).resumeToken);
    }
    await pulse.restart(); // which reads no more history than is kept
    for (const [n, resumeToken] of tokens.entries()) {
      const [entries, services] = [
        watchEntries(admin, { resumeToken }),
        watchServices(admin, { resumeToken }),
      ];
      if (n < 5) {
        const snapshot = await entries.snapshot();
        expect([snapshot.why, snapshot.downloadClients.length]).toEqual(["COMPACTED", 8]);
        expect((await services.snapshot()).why).toBe("COMPACTED");
      } else {
        for (let later = n + 1; later < 8; later++) {
          expect((await entries.change()).downloadClient?.name).toBe(`n${later}`);
          expect((await services.change()).service?.spec?.name).toBe(`n${later}`);
        }
        await entries.bookmark();
        await services.bookmark();
      }
    }
  });

  it("hears of goodbye, lapse and return as they happen", async () => {
    const { pulse, admin } = await start({ policy: { reconnectGraceMs: 200 } });
    const registered = await admin.registry.register(haul("leaving"));
    const watch = watchEntries(admin, { availabilities: [Availability.ONLINE] });
    await watch.snapshot();
    const all = watchEntries(admin);
    await all.snapshot();
    const leaseId = registered.lease?.id ?? "";
    const stream = new HeartbeatClient(admin.registry);
    await stream.beat({ leaseId, sequence: 1n });
    stream.break();
    expect(await watch.change()).toMatchObject({ what: "DELETE: disconnected" });
    expect(await all.change()).toMatchObject({
      what: "PUT: disconnected",
      downloadClient: { availability: Availability.OFFLINE },
    });
    const back = new HeartbeatClient(admin.registry);
    await back.beat({ leaseId, sequence: 2n });
    expect(await watch.change()).toMatchObject({ what: "PUT: returned" });
    await back.beat({ leaseId, sequence: 3n, goodbye: true });
    expect(await watch.change()).toMatchObject({ what: "DELETE: goodbye" });
    expect(pulse.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  it.each(PROTOCOLS)(
    "is told that Pulse stops, and when to come back, over %s",
    async (protocol) => {
      const { pulse } = await start();
      const clients = pulse.clients(protocol, await pulse.fileToken("service"));
      const watches = [watchEntries(clients), watchServices(clients)];
      for (const watch of watches) await watch.snapshot();
      const failures = Promise.all(watches.map((watch) => watch.failure()));
      const asked = performance.now();
      await pulse.server.stop();
      expect(performance.now() - asked).toBeLessThan(2_000);
      for (const status of await failures)
        expect(status).toMatchObject({
          code: "Unavailable",
          reason: "DRAINING",
          retryAfterMs: 1_000,
        });
    },
  );

  // What a peer's kernel takes in advance is more without HTTP/2's windows.
  it.each([
    ["gRPC", 80, 16_000],
    ["Connect", 200, 60_000],
    ["gRPC-Web", 200, 60_000],
  ] as const)(
    "that does not read is cut off as WATCHER_LAGGING; others see everything; it resumes, over %s",
    async (protocol, count, size) => {
      const { pulse } = await start({ watch: { maxWaiting: 10 } });
      const admin = pulse.clients(protocol, await pulse.fileToken("admin"));
      const [slow, quick] = [watchEntries(admin), watchEntries(admin)];
      await slow.snapshot();
      await quick.snapshot();
      const seen: (string | undefined)[] = [];
      const reading = (async () => {
        while (seen.length < count) seen.push((await quick.change()).downloadClient?.name);
      })();
      for (let n = 0; n < count; n++)
        await admin.downloadClients.createDownloadClient(byHand(n, size));
      await reading;
      expect(seen).toEqual(Array.from({ length: count }, (_, n) => `by hand ${n}`));

      expect(await slow.failure()).toMatchObject({
        code: "ResourceExhausted",
        reason: "WATCHER_LAGGING",
      });
      const { revision } = readResumeToken(slow.token);
      const { revision: newest } = await admin.downloadClients.listDownloadClients({});
      expect(revision).toBeLessThan(newest);
      const resumed = watchEntries(admin, { resumeToken: slow.token });
      for (let next = revision + 1n; next <= newest; next++)
        expect((await resumed.change()).revision).toBe(next);
      await resumed.bookmark();
    },
  );

  it("that takes nothing for too long is cut off, however little waits", async () => {
    const { admin } = await start({ watch: { stallMs: 300, bookmarkIntervalMs: 100 } });
    const [slow, quick] = [watchEntries(admin), watchEntries(admin)];
    await slow.snapshot();
    await quick.snapshot();
    for (let n = 0; n < 50; n++)
      await admin.downloadClients.createDownloadClient(byHand(n, 16_000));
    for (let n = 0; n < 50; n++) await quick.change();
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(await slow.failure()).toMatchObject({ reason: "WATCHER_LAGGING" });
    await quick.bookmark();
  });

  it.each(PROTOCOLS)(
    "beyond the bound is refused, until another one's peer is gone, over %s",
    async (protocol) => {
      const { pulse } = await start({ watch: { maxWatchers: 2 } });
      const clients = pulse.clients(protocol, await pulse.fileToken("service"));
      const [first, second] = [watchEntries(clients), watchEntries(clients)];
      await first.snapshot();
      await second.snapshot();
      expect(await watchEntries(clients).failure()).toMatchObject({
        code: "ResourceExhausted",
        reason: "TOO_MANY_WATCHERS",
        retryAfterMs: 5_000,
      });
      await watchServices(clients).snapshot(); // they have a bound of their own
      first.close();
      await expect.poll(() => failureOf(() => watchEntries(clients).snapshot())).toBe("none");
    },
  );
});

/** The reason a call fails with, or `none`. */
async function failureOf(call: () => Promise<unknown>): Promise<string | undefined> {
  return call().then(
    () => "none",
    async (error) => (await failure(Promise.reject(error))).reason,
  );
}
