import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import Database from "libsql";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Access, EntryRecord } from "../../src/core/entry.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { Secrets } from "../../src/lib/sealing.js";
import {
  commitOfFeed,
  commitRows,
  downloadClientRow,
  feedRow,
  entryRecord as readEntry,
  serviceRow,
} from "../../src/store/records.js";
import type { StoredDownloadClient } from "../../src/store/schema.js";
import { StoreOpenError } from "../../src/store/store.js";
import { seededRandom } from "../support/seeded-random.js";
import {
  commitOf,
  entryRecord,
  manualRecord,
  requestOf,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

const auto = (overrides: Partial<Access>, change: Partial<EntryRecord> = {}) =>
  entryRecord({ origin: { source: "auto", serviceId: "service-1", overrides }, ...change });

/** As a store gives it back, after it was closed and opened. */
async function reopened(entries: readonly EntryRecord[]): Promise<readonly EntryRecord[]> {
  const directory = await temporaryDirectory();
  const store = await openStore(directory);
  await store.commit(requestOf([commitOf(1n, { services: [serviceRecord()], entries })]));
  await store.close();
  return (await (await openStore(directory)).load()).entries;
}

/** Lists and objects within each other, so many of each. */
function nested(levels: number): unknown {
  let value: unknown = "deep";
  for (let level = 0; level < levels; level++) value = [{ a: value }];
  return value;
}

describe("an entry comes back as it was", () => {
  it.each<[string, EntryRecord]>([
    ["without overrides", auto({})],
    ["with an override of each field", auto({ ...{ host: "::1", port: 1, useSsl: false } })],
    ["with an override to nothing", auto({ urlBase: "", username: "", password: "" })],
    ["with an override to no password alone", auto({ password: "" })],
    ["with an override to no user alone", auto({ username: "" })],
    ["with credentials of any characters", auto({ username: '"\0\\', password: "😀\ud800€\n" })],
    ["that was deleted at the beginning of time", auto({}, { deletedAt: 0 })],
    [
      "with credentials that were tried",
      auto({ password: "x" }, { credentialState: "verified", verifiedAt: 1_767_225_600_000.5 }),
    ],
    ["made by hand", manualRecord({}, { username: "u" })],
    ["made by hand, without credentials", manualRecord({}, { username: "", password: "" })],
    ["of a kind that nobody knows", manualRecord({}, { kind: "mine", protocol: "torrent" })],
    ["of a late revision", manualRecord({ revision: 2n ** 63n - 1n })],
    ["with texts of many alphabets", auto({}, { name: "名前 😀", category: "é", tags: ["ß"] })],
  ])("%s", async (_, entry) => {
    expect(await reopened([entry])).toStrictEqual([entry]);
  });

  it.each<[string, string]>([
    ["keys that objects have by nature", '{"__proto__":{"x":1},"constructor":null}'],
    ["NUL and other controls", '{"a\\u0000b":"\\u0000\\u0001"}'],
    ["an emoji, whole and half", '{"😀":"\\ud83d"}'],
    ["numbers of any size", '{"a":1e+300,"b":-5e-324,"c":9007199254740993}'],
    ["objects and lists deep within each other", JSON.stringify({ a: nested(500) })],
    ["nothing in it", '{"":{},"a":[],"b":""}'],
  ])("with settings of %s", async (_, json) => {
    const [entry] = await reopened([auto({}, { settings: JSON.parse(json) })]);
    expect(JSON.stringify(entry?.settings)).toBe(JSON.stringify(JSON.parse(json)));
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

describe("a row of an entry", () => {
  const secrets = new Secrets([Buffer.alloc(32, 7)], seededRandom());
  /** As the database gives it back. */
  function rowOf(record: EntryRecord) {
    const { rev, enabled, credentials = null, ...row } = downloadClientRow(record, secrets);
    const read = { ...row, credentials, rev: BigInt(rev), enabled: BigInt(enabled) };
    return read as StoredDownloadClient;
  }

  it("leads back to any record, and has the same keys in the same order for all", () => {
    const any = fc.string({ unit: "binary" });
    const access = {
      host: any,
      port: fc.nat(),
      useSsl: fc.boolean(),
      urlBase: any,
      username: any,
      password: any,
    };
    const origin = fc.oneof(
      fc.record({
        source: fc.constant("auto" as const),
        serviceId: fc.uuid(),
        overrides: fc.record(access, { requiredKeys: [] }),
      }),
      fc.record({
        source: fc.constant("manual" as const),
        target: fc.record({
          ...access,
          kind: any,
          protocol: fc.constantFrom("torrent" as const, "usenet" as const),
          downloadDirectory: any,
          pathMappings: fc.array(fc.record({ clientPath: any, managerPath: any })),
        }),
      }),
    );
    const keys = Object.keys(rowOf(auto({}))).sort();
    const compiled = Object.keys(downloadClientRow(auto({}), secrets));
    fc.assert(
      fc.property(origin, (origin) => {
        const record = entryRecord({ origin });
        expect(readEntry(rowOf(record), secrets)).toEqual(record);
        expect(Object.keys(downloadClientRow(record, secrets))).toEqual(compiled);
        expect(Object.keys(rowOf(record)).sort()).toEqual(keys);
      }),
    );
  });

  it("shows no credentials, not even that two are the same", () => {
    const rows = [manualRecord(), manualRecord({ id: "b" })].map(rowOf);
    expect(rows.flatMap((row) => Object.values(row).map(String)).join()).not.toContain(
      "key by hand",
    );
    expect(rows[0]?.credentials).toMatch(/^2\./);
    expect(rows[0]?.credentials).not.toBe(rows[1]?.credentials);
    expect(rowOf(auto({ host: "x" })).credentials).toBeNull();
  });

  it("opens its credentials in its own place only", () => {
    const row = rowOf(manualRecord());
    const service = serviceRow(serviceRecord({ id: row.id }), secrets);
    for (const other of [
      { ...rowOf(manualRecord({ id: "another" })), credentials: row.credentials },
      { ...row, credentials: service.credentials ?? null }, // of a service with the very same id
    ])
      expect(() => readEntry(other, secrets)).toThrow("does not open");
  });
});

describe("credentials on disk", () => {
  const SECRETS = ["planted-user-4711", "planted-key-4711", "planted-override-4711"];
  const [username, password, override] = SECRETS as [string, string, string];

  it("are in none of the files, while it is open and after", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const name = "planted-name-4711"; // which shows that the search finds what is there
    const entries = [manualRecord({ name }, { username, password }), auto({ password: override })];
    const services = [serviceRecord({ username, apiKey: password })];
    await store.commit(requestOf([commitOf(1n, { services, entries })]));

    const wal = await readFile(join(directory, "pulse.db-wal"), "latin1");
    expect(wal).toContain(name);
    const files = [wal, await readFile(join(directory, "pulse.db"), "latin1")];
    // What is replaced must not have been there either.
    await store.commit(requestOf([commitOf(2n, { entries: [auto({ password: "" })] })]));
    await store.commit(requestOf([commitOf(3n, { removedEntryIds: ["manual-1"] })]));
    await store.close();
    const closed = await readFile(join(directory, "pulse.db"), "latin1");
    for (const file of [...files, closed])
      for (const secret of SECRETS)
        for (const text of [secret, Buffer.from(secret).toString("base64").slice(0, -4)])
          expect(file.includes(text)).toBe(false);
  });

  it.each([
    [
      "another entry",
      "update download_clients set credentials = (select credentials from download_clients where id = 'manual-1')",
    ],
    ["a service", "update download_clients set credentials = (select credentials from services)"],
  ])("that someone copied from %s are not opened", async (_, sql) => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const entries = [manualRecord(), manualRecord({ id: "manual-2", name: "two" })];
    await store.commit(requestOf([commitOf(1n, { services: [serviceRecord()], entries })]));
    await store.close();
    const database = new Database(join(directory, "pulse.db"));
    onTestFinished(() => void database.close());
    database.exec(sql);
    const load = (await openStore(directory)).load();
    await expect(load).rejects.toThrow(StoreOpenError);
    await expect(load).rejects.toThrow("do not belong to their row");
  });
});

it("a row of a release before says nothing of files", () => {
  const secrets = new Secrets([Buffer.alloc(32, 1)], seededRandom());
  const commit = commitOf(1n, { services: [serviceRecord()], entries: [manualRecord()] });
  const row = feedRow(commit, "", commitRows(commit, secrets));
  const body = JSON.parse(row.body);
  for (const [old, column] of [
    [body.services[0], "spec"] as const,
    [body.entries[0], "access"] as const,
  ]) {
    const { downloadDirectory: _, pathMappings: __, ...before } = JSON.parse(old[column]);
    old[column] = JSON.stringify(before);
  }
  const read = commitOfFeed({ ...row, rev: 1n, body: JSON.stringify(body) }, secrets);
  const spec = { ...serviceRecord().spec, ...NO_FILE_PLACES };
  expect(read.services).toEqual([serviceRecord({ spec })]);
  expect(read.entries).toEqual([manualRecord({}, NO_FILE_PLACES)]);
});

it("a feed of a release before is read with what that did not know as it was then", () => {
  const secrets = new Secrets([Buffer.alloc(32, 1)], seededRandom());
  const commit = commitOf(1n, { services: [serviceRecord()], tokens: [tokenRecord()] });
  const row = feedRow(commit, "", commitRows(commit, secrets));
  expect(commitOfFeed({ ...row, rev: 1n }, secrets)).toEqual(commit);
  const unknown = new Set([
    "approved",
    "token_id",
    "max_uses",
    "uses",
    "instance_id",
    "joined_with",
  ]);
  const body = JSON.parse(row.body);
  for (const old of [...body.services, ...body.tokens])
    for (const name of unknown) if (name !== "instance_id" || "scopes" in old) delete old[name];
  const read = commitOfFeed({ ...row, rev: 1n, body: JSON.stringify(body) }, secrets);
  expect(read.services).toEqual([{ ...serviceRecord(), approved: true, tokenId: "" }]);
  expect(read.tokens).toEqual([tokenRecord()]);
});
