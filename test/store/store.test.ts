import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Commit, CommitSummary } from "../../src/core/change.js";
import {
  type CommitRequest,
  StoreDivergedError,
  StoreUnavailableError,
} from "../../src/store/store.js";
import { describeEngines, dump, type Place, run } from "./engines.js";
import { refusal } from "./refusal.js";
import {
  commitOf,
  entryRecord,
  manualRecord,
  pointOf,
  requestOf,
  serviceCommit,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";

const KEY = "a1".repeat(32);
const OTHER_KEY = "b2".repeat(32);
const PLANTED = ["planted-api-key-4711", "planted-user-4711", "planted-override-4711"] as const;

/** What a history keeps of a commit. */
function summaryOf({ revision, stamp, at, reason, changes }: Commit): CommitSummary {
  return { revision, stamp, at, reason, changes };
}

/** Credentials in every place that has some. */
const records = {
  services: [serviceRecord({ apiKey: PLANTED[0], username: PLANTED[1] })],
  entries: [
    entryRecord({
      origin: { source: "auto", serviceId: "service-1", overrides: { password: PLANTED[2] } },
    }),
    manualRecord({}, { username: PLANTED[1], password: PLANTED[0] }),
  ],
  tokens: [tokenRecord()],
};

/** Makes a store with these in it, and closes it. */
async function made(place: Place, secretKey?: string): Promise<void> {
  const store = await place.open(secretKey);
  await store.commit(requestOf([commitOf(1n, records)]));
  await store.close();
}

describeEngines("a store", (engine) => {
  it("that is new is empty, and has an epoch of its own that stays with it", async () => {
    const place = await engine.place();
    const first = await place.open();
    const { epoch, ...rest } = await first.load();
    expect(epoch).toMatch(/^[0-9a-f-]{36}$/);
    expect(rest).toStrictEqual({
      revision: 0n,
      stamp: "",
      registryTimeMs: 0,
      services: [],
      entries: [],
      tokens: [],
      history: [],
    });
    await first.close();
    expect((await (await place.open()).load()).epoch).toBe(epoch);
    const other = await (await engine.place()).open();
    expect((await other.load()).epoch).not.toBe(epoch);
  });

  it("has what was committed at the next open, every field as it was", async () => {
    const place = await engine.place();
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
      manualRecord(),
    ];
    const tokens = [tokenRecord(), tokenRecord({ id: "token-2", revokedAt: 5 })];
    const first = await place.open();
    const { epoch } = await first.load();
    const commit = commitOf(1n, { services, entries, tokens });
    await first.commit(requestOf([commit]));
    await first.close();

    expect(await (await place.open()).load()).toStrictEqual({
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

  it("keeps any text", async () => {
    const store = await (await engine.place()).open();
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
        const commit = commitOf(revision + 1n, { services: [service], entries: [entry] });
        await store.commit(requestOf([commit]));
        revision++;
        const stored = await store.load();
        const followed = await store.shared?.since(pointOf(revision - 1n));
        for (const { services, entries } of [stored, ...(followed?.commits ?? [])]) {
          expect(services).toEqual([service]);
          expect(entries).toEqual([{ ...entry, settings: expect.anything() }]);
          // As texts, since -0 comes back as 0, and a key may be __proto__.
          expect(JSON.stringify(entries[0]?.settings)).toBe(JSON.stringify(settings));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("holds no credential in clear, in any table", async () => {
    const place = await engine.place();
    const store = await place.open();
    await store.commit(requestOf([commitOf(1n, records)]));
    const all = await dump(place.connect());
    expect(all).toContain("service-1.1.secret"); // the rows are in it
    expect(all.includes('"body"')).toBe(engine.isShared); // also those that other nodes read
    for (const secret of PLANTED) expect(all).not.toContain(secret);
    expect(await store.load()).toMatchObject(records);
  });

  it("opens no credentials that were moved to another row", async () => {
    const place = await engine.place();
    const store = await place.open();
    const services = [serviceRecord(), serviceRecord({ id: "service-2", apiKey: "other" })];
    await store.commit(requestOf([commitOf(1n, { services })]));
    await store.close();
    await run(
      place.connect(),
      `update services set credentials = (
        select other.credentials from services as other where other.id <> services.id)`,
    );
    expect(await refusal((await place.open()).load())).toMatch(
      /^credentials in .* do not belong to their row.*: restore a backup$/,
    );
  });
});

describeEngines("a commit", (engine) => {
  const open = async () => (await engine.place()).open();

  it("of many records takes them all, also those of the last odd chunk", async () => {
    const store = await open();
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
    await store.commit(requestOf(commits));
    const stored = await store.load();
    expect(stored.revision).toBe(203n);
    expect(stored.services).toEqual(commits.flatMap(({ services }) => services));
    expect(stored.entries).toEqual(commits.flatMap(({ entries }) => entries));
    expect(stored.history).toEqual(commits.map(summaryOf));
  });

  it("of a record several times keeps its last version, and every change", async () => {
    const store = await open();
    const commits = [1n, 2n, 3n].map((revision) =>
      serviceCommit(revision, { statusReason: `version ${revision}` }),
    );
    await store.commit(requestOf(commits));
    const stored = await store.load();
    expect(stored.services).toEqual(commits.at(-1)?.services);
    expect(stored.history).toEqual(commits.map(summaryOf));
  });

  it("replaces a record in every field", async () => {
    const store = await open();
    const first = {
      services: [serviceRecord(), serviceRecord({ id: "service-2" })],
      entries: [entryRecord()],
      tokens: [tokenRecord()],
    };
    await store.commit(requestOf([commitOf(1n, first)]));
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
    await store.commit(requestOf([commitOf(2n, second)]));
    const { services, ...rest } = await store.load();
    expect(rest).toMatchObject({ entries: second.entries, tokens: second.tokens });
    expect(new Set(services)).toEqual(
      new Set([...second.services, serviceRecord({ id: "service-2" })]),
    );
  });

  it("that decides on nothing writes nothing", async () => {
    const store = await open();
    let asked = 0;
    await store.commit({
      known: () => pointOf(0n),
      holdingsOf: [],
      decide: ({ missed }) => {
        asked++;
        expect(missed).toEqual([]);
        return [];
      },
    });
    expect(asked).toBe(1);
    expect(await store.load()).toMatchObject({ revision: 0n, stamp: "", history: [] });
  });

  it("whose decision throws writes nothing, and throws the same", async () => {
    const store = await open();
    const bug = new TypeError("a bug");
    const request = (decide: CommitRequest["decide"]) =>
      store.commit({ known: () => pointOf(0n), holdingsOf: [], decide });
    await expect(
      request(() => {
        throw bug;
      }),
    ).rejects.toBe(bug);
    expect(await store.load()).toMatchObject({ revision: 0n, history: [] });
    await store.commit(requestOf([serviceCommit(1n)]));
  });

  it.each([
    ["ahead", [2n]],
    ["behind", [0n]],
    ["with a hole in it", [1n, 3n]],
  ])("that would leave a gap in the revisions is refused (%s)", async (_, revisions) => {
    const store = await open();
    const commits = revisions.map((revision) => serviceCommit(revision));
    await expect(store.commit(requestOf(commits, pointOf(0n)))).rejects.toThrow("gap");
    expect(await store.load()).toMatchObject({ revision: 0n, services: [], history: [] });
  });

  it("that a record makes fail leaves nothing, not even a revision", async () => {
    const store = await open();
    const orphan = entryRecord({
      origin: { source: "auto", serviceId: "nobody", overrides: {} },
    });
    const failed = store.commit(
      requestOf([serviceCommit(1n), commitOf(2n, { entries: [orphan] })]),
    );
    await expect(failed).rejects.toThrow(engine.orphanError);
    await expect(failed).rejects.not.toThrow(StoreUnavailableError); // the command is at fault
    expect(await store.load()).toMatchObject({ revision: 0n, services: [], history: [] });
    await store.commit(requestOf([serviceCommit(1n)]));
    expect((await store.load()).history).toHaveLength(1);
  });

  it.each<[string, string, string, RegExp]>([
    ["has another stamp", "update clock set stamp = 'other'", "1", /revision 1, not at 1/],
    ["is behind", "update clock set rev = 0, stamp = ''", "0", /revision 0, not at 1/],
    ["went on by another hand", "update clock set rev = 2, stamp = 'x'", "2", /revision [12]/],
    ["belongs to another registry", "update clock set epoch = 'other'", "1", /another registry/],
  ])("is refused, and leaves nothing, if the history %s", async (_, tampering, stays, words) => {
    const place = await engine.place();
    const store = await place.open();
    await store.load();
    await store.commit(requestOf([commitOf(1n, { tokens: [tokenRecord()] })]));
    await run(place.connect(), tampering);
    const request = requestOf([commitOf(2n, { tokens: [tokenRecord({ name: "late" })] })]);
    const refused = store.commit(request);
    await expect(refused).rejects.toThrow(StoreDivergedError);
    await expect(refused).rejects.toThrow(words);
    const { tokens, revision } = await store.load();
    expect([tokens, String(revision)]).toEqual([[tokenRecord()], stays]);
  });
});

describeEngines("a store that is closed", (engine) => {
  it("has done what was asked before, and may be closed again", async () => {
    const place = await engine.place();
    const store = await place.open();
    const committed = store.commit(requestOf([serviceCommit(1n)]));
    await Promise.all([store.close(), store.close()]);
    await committed;
    await store.close();
    expect((await (await place.open()).load()).revision).toBe(1n);
  });

  it("refuses what comes after", async () => {
    const store = await (await engine.place()).open();
    await store.load();
    await store.close();
    const { shared } = store;
    const attempts: (() => Promise<unknown>)[] = [
      () => store.commit(requestOf([serviceCommit(1n)])),
      () => store.compact(1n),
      ...(shared
        ? [
            () => shared.since(pointOf(0n)),
            () => shared.join({ id: "a", name: "a" }),
            () => shared.renew("a"),
            () => shared.due(),
          ]
        : [() => store.flush({ registryTimeMs: 0, presences: [] })]),
    ];
    for (const attempt of attempts) {
      const refused = attempt();
      await expect(refused).rejects.toThrow(StoreUnavailableError);
      await expect(refused).rejects.toThrow("the store is closed");
    }
  });
});

describeEngines("the key", (engine) => {
  it("may be given, as hex or base64", async () => {
    const place = await engine.place();
    await made(place, KEY);
    expect(await readdir(place.directory)).not.toContain("secret.key");
    const base64 = Buffer.from(KEY, "hex").toString("base64");
    expect((await (await place.open(base64)).load()).services[0]?.apiKey).toBe(PLANTED[0]);
  });

  it.each(["", "short", KEY.slice(2), `${KEY}00`, "z".repeat(64)])(
    "is refused without being repeated if it is malformed (%j)",
    async (secretKey) => {
      const place = await engine.place();
      const message = await refusal(place.open(secretKey));
      expect(message).toMatch(/^PULSE_SECRET_KEY must hold 32 bytes as hex or base64/);
      if (secretKey !== "") expect(message).not.toContain(secretKey);
      await place.open(KEY); // nothing was begun
    },
  );

  it("is refused if it is another one", async () => {
    const place = await engine.place();
    await made(place, KEY);
    const message = await refusal(place.open(OTHER_KEY));
    expect(message).toMatch(/^PULSE_SECRET_KEY is not the key that the database .*: give this/);
    expect(message).not.toContain(OTHER_KEY);
    await place.open(KEY); // who was refused holds nothing
  });

  it("is never made anew for a database that has one", async () => {
    const place = await engine.place();
    await made(place);
    await rm(join(place.directory, "secret.key"));
    expect(await refusal(place.open())).toMatch(
      /secret\.key is missing, and the database .* is encrypted with a key: restore the file, or set/,
    );
    expect(await readdir(place.directory)).not.toContain("secret.key");
  });
});

describeEngines("the last use of tokens", (engine) => {
  it("is what was noted latest, of tokens that there are, and no commit", async () => {
    const place = await engine.place();
    const store = await place.open();
    const many = Array.from({ length: 70 }, (_, i) => tokenRecord({ id: `token-${i}` }));
    await store.commit(requestOf([commitOf(1n, { tokens: many })]));
    expect(await store.tokenUses()).toEqual([]);
    await store.noteTokenUses(many.map(({ id }) => ({ tokenId: id, usedAt: 1_000.5 })));
    await store.noteTokenUses([
      { tokenId: "token-1", usedAt: 2_000 },
      { tokenId: "token-2", usedAt: 500 },
      { tokenId: "none", usedAt: 500 },
    ]);
    await store.noteTokenUses([]);
    const uses = new Map((await store.tokenUses()).map((use) => [use.tokenId, use.usedAt]));
    expect(uses.size).toBe(70);
    expect([uses.get("token-1"), uses.get("token-2")]).toEqual([2_000, 1_000.5]);
    const { revision } = await store.load();
    expect(revision).toBe(1n);
    await store.close();
  });

  it("is not touched by a commit of the token", async () => {
    const place = await engine.place();
    const store = await place.open();
    await store.commit(requestOf([commitOf(1n, { tokens: [tokenRecord()] })]));
    await store.noteTokenUses([{ tokenId: "token-1", usedAt: 2_000 }]);
    const revoked = tokenRecord({ revokedAt: 3_000 });
    await store.commit(requestOf([commitOf(2n, { tokens: [revoked] })]));
    expect((await store.load()).tokens).toEqual([{ ...revoked, lastUsedAt: 2_000 }]);
    await store.close();
  });
});

describeEngines("a database of a newer Pulse", (engine) => {
  it("is refused, and stays as it is", async () => {
    const place = await engine.place();
    await made(place);
    const db = place.connect();
    await run(db, "update schema_version set version = 99");
    expect(await refusal(place.open())).toMatch(
      /newer Pulse \(schema 99, this one knows \d+\): start that version/,
    );
    expect(await run(db, "select version from schema_version")).toEqual([{ version: "99" }]);
  });
});
