import { join } from "node:path";
import fc from "fast-check";
import { Kysely } from "kysely";
import Database from "libsql";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Commit, CommitSummary } from "../../src/core/change.js";
import { systemRandom } from "../../src/lib/random.js";
import { Secrets } from "../../src/lib/sealing.js";
import { Queries } from "../../src/store/queries.js";
import type { Schema } from "../../src/store/schema.js";
import { sqliteDialect } from "../../src/store/sqlite-dialect.js";
import { SqliteStore } from "../../src/store/sqlite-store.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { commitOf, entryRecord, serviceRecord, tokenRecord } from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

/** Another program's view of the database. */
function look(directory: string) {
  const database = new Database(join(directory, "pulse.db"));
  onTestFinished(() => void database.close());
  return database;
}

/** What a history keeps of a commit. */
function summaryOf({ revision, stamp, at, reason, changes }: Commit): CommitSummary {
  return { revision, stamp, at, reason, changes };
}

function changeLog(directory: string) {
  return look(directory)
    .prepare(
      "select rev, stamp, reason, subject, subject_id, type from change_log order by rev, position",
    )
    .all();
}

describe("what was committed is there at the next open", () => {
  it("a service, an entry and a token, with every field as it was", async () => {
    const directory = await temporaryDirectory();
    const services = [
      serviceRecord(),
      serviceRecord({
        id: "service-2",
        secretHash: undefined,
        spec: { ...serviceRecord().spec, endpoint: undefined, protocol: undefined },
        username: "",
        apiKey: "",
        status: "offline",
        generation: 2n ** 63n - 1n,
        revision: 2n ** 53n + 1n,
        leaseActive: false,
        leaseCredited: true,
        removed: true,
      }),
    ];
    const entries = [
      entryRecord({ enabled: false, deletedAt: 7, tags: ["a", "ü"], settings: { a: [1, null] } }),
    ];
    const tokens = [tokenRecord(), tokenRecord({ id: "token-2", revokedAt: 5 })];
    const first = await openStore(directory);
    const { epoch } = await first.load();
    const commit = commitOf(1n, { services, entries, tokens });
    await first.commit([commit], 0n);
    await first.close();

    const stored = await (await openStore(directory)).load();

    expect(stored).toStrictEqual({
      epoch,
      revision: 1n,
      stamp: "stamp-1",
      registryTimeMs: 0,
      services,
      entries,
      tokens,
      history: [summaryOf(commit)],
    });
  });

  it("with any text in it", async () => {
    const store = await openStore(await temporaryDirectory());
    let revision = 0n;
    const any = fc.string({ unit: "binary" });
    const text = fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\0", ""));
    const cases = fc.record({
      login: fc.record({ username: any, password: any, host: any }, { requiredKeys: [] }),
      spec: fc.record({
        name: any,
        metadata: fc.dictionary(any, any),
        capabilities: fc.array(any),
      }),
      credentials: fc.record({ username: any, apiKey: any }),
      tags: fc.array(any),
      settings: fc.dictionary(any, fc.jsonValue({ stringUnit: "binary" })),
      text,
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ spec, credentials, login, tags, settings, text }) => {
        const service = serviceRecord({
          spec: { ...serviceRecord().spec, ...spec },
          ...credentials,
          statusReason: text,
        });
        const entry = entryRecord({
          origin: { source: "auto", serviceId: service.id, overrides: login },
          tags,
          settings,
          name: text,
          category: text,
          directory: text,
        });
        await store.commit(
          [commitOf(revision + 1n, { services: [service], entries: [entry] })],
          revision,
        );
        revision++;
        const stored = await store.load();
        expect(stored.services).toEqual([service]);
        expect(stored.entries).toEqual([{ ...entry, settings: expect.anything() }]);
        // As texts, since -0 comes back as 0, and a key may be __proto__.
        expect(JSON.stringify(stored.entries[0]?.settings)).toBe(JSON.stringify(settings));
      }),
      { numRuns: 50 },
    );
  });
});

describe("a commit", () => {
  it("of many records takes them all, also those of the last odd chunk", async () => {
    const store = await openStore(await temporaryDirectory());
    const commits = Array.from({ length: 203 }, (_, i) =>
      commitOf(BigInt(i + 1), {
        services: [serviceRecord({ id: `service-${i}`, apiKey: `key-${i}` })],
        entries: [
          entryRecord({
            id: `entry-${i}`,
            origin: { source: "auto", serviceId: `service-${i}`, overrides: {} },
            name: `haul-${i}`,
          }),
        ],
      }),
    );
    await store.commit(commits, 0n);
    const stored = await store.load();
    expect(stored.revision).toBe(203n);
    expect(stored.services).toEqual(commits.flatMap(({ services }) => services));
    expect(stored.entries).toEqual(commits.flatMap(({ entries }) => entries));
  });

  it("keeps the last version of a record and logs every change of it", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const versions = [1n, 2n, 3n].map((revision) =>
      serviceRecord({ revision, statusReason: `version ${revision}` }),
    );
    await store.commit(
      versions.map((service) => commitOf(service.revision, { services: [service] })),
      0n,
    );
    expect((await store.load()).services).toEqual(versions.slice(-1));
    const change = {
      reason: "registered",
      subject: "service",
      subject_id: "service-1",
      type: "put",
    };
    expect(changeLog(directory)).toEqual([
      { rev: 1, stamp: "stamp-1", ...change },
      { rev: 2, stamp: "stamp-2", ...change },
      { rev: 3, stamp: "stamp-3", ...change },
    ]);
  });

  it("replaces a record in every field", async () => {
    const store = await openStore(await temporaryDirectory());
    const first = {
      services: [serviceRecord(), serviceRecord({ id: "service-2" })],
      entries: [entryRecord()],
      tokens: [tokenRecord()],
    };
    await store.commit([commitOf(1n, first)], 0n);
    const second = {
      services: [
        serviceRecord({
          instanceId: "other",
          secretHash: undefined,
          spec: { ...serviceRecord().spec, name: "other" },
          username: "",
          apiKey: "other",
          credentialState: "verified",
          status: "degraded",
          statusReason: "other",
          generation: 2n,
          leaseId: "other",
          leaseActive: false,
          ttlMs: 5_000,
          leaseCredited: true,
          leaseExpiresAt: 1,
          lastSeenAt: 2,
          createdAt: 3,
          revision: 2n,
          removed: true,
        }),
      ],
      entries: [
        entryRecord({
          name: "other",
          enabled: false,
          priority: 1,
          category: "tv",
          directory: "/tv",
          tags: ["x"],
          settings: { x: 1 },
          createdAt: 1,
          updatedAt: 2,
          revision: 2n,
          origin: {
            source: "auto",
            serviceId: "service-2",
            overrides: { host: "other", password: "other" },
          },
          credentialState: "rejected",
          deletedAt: 3,
        }),
      ],
      tokens: [
        tokenRecord({ name: "other", scopes: [], hash: "other", createdAt: 1, revokedAt: 2 }),
      ],
    };
    await store.commit([commitOf(2n, second)], 1n);
    expect(await store.load()).toMatchObject({
      ...second,
      services: [...second.services, serviceRecord({ id: "service-2" })],
    });
  });

  it("of nothing writes nothing", async () => {
    const store = await openStore(await temporaryDirectory());
    await store.commit([], 0n);
    expect((await store.load()).revision).toBe(0n);
  });

  it("is refused, and leaves nothing, if someone else has written", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    await store.commit([commitOf(1n, { tokens: [tokenRecord()] })], 0n);
    look(directory).exec("update clock set rev = rev + 1");
    const late = commitOf(2n, { tokens: [tokenRecord({ name: "late" })] });
    await expect(store.commit([late], 1n)).rejects.toThrow(StoreDivergedError);
    await expect(store.commit([late], 1n)).rejects.toThrow("revision 2, not at 1");
    expect((await store.load()).tokens).toEqual([tokenRecord()]);
    expect(changeLog(directory)).toHaveLength(1);
  });

  it("that a record makes fail leaves nothing, not even a revision", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const orphan = entryRecord({
      origin: { source: "auto", serviceId: "nobody", overrides: {} },
    });
    const commits = [
      commitOf(1n, { services: [serviceRecord()] }),
      commitOf(2n, { entries: [orphan] }),
    ];
    const failed = store.commit(commits, 0n);
    await expect(failed).rejects.toThrow("FOREIGN KEY");
    await expect(failed).rejects.not.toThrow(StoreUnavailableError); // the command is at fault
    expect(await store.load()).toMatchObject({ revision: 0n, services: [] });
    await store.commit(commits.slice(0, 1), 0n);
    expect(changeLog(directory)).toHaveLength(1);
  });

  it("that would leave a gap in the revisions is refused", async () => {
    const store = await openStore(await temporaryDirectory());
    await expect(store.commit([commitOf(2n, {})], 0n)).rejects.toThrow("gap");
    expect((await store.load()).revision).toBe(0n);
  });

  it("waits for the one before it", async () => {
    const store = await openStore(await temporaryDirectory());
    const revisions = [1n, 2n, 3n, 4n];
    await Promise.all(
      revisions.map((revision) => store.commit([commitOf(revision, {})], revision - 1n)),
    );
    expect((await store.load()).revision).toBe(4n);
  });
});

describe("a flush", () => {
  const presence = {
    serviceId: "service-1",
    leaseId: "service-1.1.secret",
    lastSeenAt: 7,
    leaseExpiresAt: 8.5,
    leaseCredited: true,
  };

  it("writes signs of life and registry time, and nothing else", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const others = Array.from({ length: 70 }, (_, i) => serviceRecord({ id: `other-${i}` }));
    await store.commit([commitOf(1n, { services: [serviceRecord(), ...others] })], 0n);
    await store.flush({
      registryTimeMs: 12.75,
      presences: [
        presence,
        ...others.map(({ id }) => ({ ...presence, serviceId: id, leaseId: "service-1.1.secret" })),
      ],
    });
    const { serviceId: _, leaseId: __, ...written } = presence;
    expect(await store.load()).toMatchObject({
      revision: 1n,
      stamp: "stamp-1",
      registryTimeMs: 12.75,
      services: [serviceRecord(written), ...others.map((other) => ({ ...other, ...written }))],
    });
    expect(changeLog(directory)).toHaveLength(71);
  });

  it.each([
    ["ended", { leaseActive: false }],
    ["was superseded", { leaseId: "service-1.2.secret", generation: 2n }],
    ["went with its service", { leaseActive: false, removed: true }],
  ])("does not touch a lease that %s meanwhile", async (_, change) => {
    const store = await openStore(await temporaryDirectory());
    const service = serviceRecord(change);
    await store.commit([commitOf(1n, { services: [service] })], 0n);
    await store.flush({ registryTimeMs: 1, presences: [presence] });
    expect((await store.load()).services).toEqual([service]);
  });

  it("makes no service that is not there", async () => {
    const store = await openStore(await temporaryDirectory());
    await store.flush({ registryTimeMs: 1, presences: [presence] });
    expect(await store.load()).toMatchObject({ registryTimeMs: 1, services: [] });
  });

  it("of thousands is one transaction, and a commit waits for its end", async () => {
    const store = await openStore(await temporaryDirectory());
    const services = Array.from({ length: 2_500 }, (_, i) => serviceRecord({ id: `service-${i}` }));
    await store.commit([commitOf(1n, { services })], 0n);
    const presences = services.map(({ id }) => ({ ...presence, serviceId: id }));
    const flushed = store.flush({ registryTimeMs: 1, presences });
    await store.commit([commitOf(2n, {})], 1n);
    expect((await store.load()).services.every(({ lastSeenAt }) => lastSeenAt === 7)).toBe(true);
    await flushed;
  });
});

describe("a database that cannot be used just now", () => {
  const commit = commitOf(1n, { tokens: [tokenRecord({ name: "x".repeat(100_000) })] });

  it.each([
    ["is full", "max_page_count = 1", "max_page_count = 1000000"],
    ["is read-only", "query_only = on", "query_only = off"],
  ])("%s: nothing is written, and the next try works once it is not", async (words, set, unset) => {
    const directory = await temporaryDirectory();
    await (await openStore(directory)).close();
    const connection = new Database(join(directory, "pulse.db"));
    const db = new Kysely<Schema>({ dialect: sqliteDialect(connection) });
    const queries = new Queries(db, new Secrets(Buffer.alloc(32), systemRandom));
    const store = new SqliteStore({ connection, path: "", db, queries, release: () => {} });
    onTestFinished(() => store.close());

    connection.exec(`pragma ${set}`);
    await expect(store.commit([commit], 0n)).rejects.toThrow(StoreUnavailableError);
    await expect(store.commit([commit], 0n)).rejects.toThrow(words);

    connection.exec(`pragma ${unset}`);
    expect(await store.load()).toMatchObject({ revision: 0n, tokens: [] });
    await store.commit([commit], 0n);
    expect((await store.load()).revision).toBe(1n);
  });

  it("is locked by another program: the next try works once that lets go", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const other = look(directory);
    other.exec("begin immediate");
    await expect(store.commit([commit], 0n)).rejects.toThrow(StoreUnavailableError);
    await expect(store.flush({ registryTimeMs: 5, presences: [] })).rejects.toThrow(
      StoreUnavailableError,
    );
    other.exec("rollback");
    await store.commit([commit], 0n);
    expect(await store.load()).toMatchObject({ revision: 1n, registryTimeMs: 0 });
  });

  it("can be read by another program meanwhile", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const other = look(directory);
    other.exec("begin");
    other.prepare("select * from clock").all();
    await store.commit([commit], 0n);
    other.exec("commit");
  });
});

describe("close", () => {
  it("waits for what runs, and may be called again", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const committed = store.commit([commitOf(1n, { tokens: [tokenRecord()] })], 0n);
    await Promise.all([store.close(), store.close()]);
    await committed;
    await store.close();
    expect((await (await openStore(directory)).load()).revision).toBe(1n);
  });

  it("refuses what comes after it", async () => {
    const store = await openStore(await temporaryDirectory());
    await store.close();
    await expect(store.commit([commitOf(1n, {})], 0n)).rejects.toThrow(StoreUnavailableError);
    await expect(store.flush({ registryTimeMs: 0, presences: [] })).rejects.toThrow(
      StoreUnavailableError,
    );
  });
});
