import { expect, it, onTestFinished } from "vitest";
import type { ServiceRecord } from "../../src/core/service.js";
import { systemClock } from "../../src/lib/clock.js";
import { systemRandom } from "../../src/lib/random.js";
import { Secrets } from "../../src/lib/sealing.js";
import { type CopyOptions, copyToPostgres } from "../../src/store/copy.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import type { AuditRequest, Store, StoredRegistry } from "../../src/store/store.js";
import { MemoryAudit } from "../support/memory-audit.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { ask } from "../support/postgres-database.js";
import { refusal } from "./refusal.js";
import {
  auditEntry,
  commitOf,
  entryRecord,
  manualRecord,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";
import { temporaryDirectory } from "./temporary-store.js";

const KEY = "a1".repeat(32);
const secrets = new Secrets([Buffer.from(KEY, "hex")], systemRandom);
const NOW = 60_000.5;

/** A registry with some of everything, whose history has been compacted up to revision 5. */
const STORED: StoredRegistry = {
  epoch: "7c0e8f4e-0000-4000-8000-000000000001",
  revision: 8n,
  stamp: "stamp-8",
  registryTimeMs: NOW,
  services: [
    serviceRecord({ revision: 6n, leaseExpiresAt: NOW + 10, verifiedAt: 7.5 }),
    serviceRecord({ id: "service-2", username: "", apiKey: "", secretHash: undefined }),
  ],
  entries: [
    entryRecord({
      revision: 6n,
      tags: ["a"],
      settings: { ratio: 1.5 },
      deletedAt: 1_767_225_600_001,
    }),
    manualRecord({ revision: 7n, credentialState: "verified", verifiedAt: 8.5 }),
  ],
  tokens: [
    tokenRecord({ lastUsedAt: 1_767_225_600_003 }),
    tokenRecord({ id: "token-2", revokedAt: 1_767_225_600_002 }),
  ],
  history: [
    commitOf(6n, { services: [serviceRecord()], entries: [entryRecord()] }),
    commitOf(7n, { entries: [manualRecord()] }),
    commitOf(8n, { tokens: [tokenRecord()] }),
  ].map(({ revision, stamp, at, reason, changes }) => ({ revision, stamp, at, reason, changes })),
};

/** More than a page, without the oldest. */
const AUDIT = new MemoryAudit();
AUDIT.append(
  Array.from({ length: 2_345 }, (_, i) => auditEntry({ at: i, detail: `\u{1f600} ${i}` })),
);
AUDIT.trim(5);

async function emptyDatabase(): Promise<string> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  return database.url;
}

function copy(url: string, change: Partial<CopyOptions> = {}) {
  const audit = async (request: AuditRequest) => AUDIT.read(request);
  return copyToPostgres({ stored: STORED, audit, secrets, url, clock: systemClock, ...change });
}

/** As a node opens it. */
async function openNode(url: string): Promise<Store> {
  const store = await openPostgresStore({
    url,
    directory: await temporaryDirectory(),
    secretKey: KEY,
    random: systemRandom,
  });
  onTestFinished(() => store.close());
  return store;
}

/** The tables there are. */
const TABLES = "select tablename from pg_tables where schemaname = 'public'";

describePostgres("a copy", () => {
  it("is what a node starts from: the same history, registry time, secrets and tokens", async () => {
    const url = await emptyDatabase();
    const { kind } = await copy(url);
    expect(kind).toBe("copied");
    const { services, ...rest } = await (await openNode(url)).load();
    const { services: expected, ...expectedRest } = STORED;
    expect(rest).toEqual(expectedRest);
    expect(services).toEqual(
      expected.map((service) => ({ ...service, leaseExpiresAt: NOW + 18_000 })),
    );
    expect(await ask(url, "select min_rev::int from clock")).toEqual([{ min_rev: 5 }]);
  });

  it("has the audit log, whose ids go on", async () => {
    const url = await emptyDatabase();
    await copy(url);
    const store = await openNode(url);
    await store.appendAudit([auditEntry({ detail: "next" })]);
    const { entries } = await store.readAudit({ afterId: 0n, limit: 10_000 });
    expect(entries.slice(0, -1)).toEqual(AUDIT.entries);
    expect(entries.at(-1)).toMatchObject({ id: 2_346n, detail: "next" });
  });

  it("counts its rows on both sides, and those that are alike", async () => {
    const { tables } = (await copy(await emptyDatabase())) as { tables: unknown };
    const row = (name: string, n: number) => ({ name, source: n, target: n, equal: n });
    expect(tables).toEqual([
      row("services", 2),
      row("download_clients", 2),
      row("tokens", 2),
      row("change_log", 3),
      row("audit", 2_340),
    ]);
  });

  it("of a registry whose whole history is forgotten begins after it", async () => {
    const url = await emptyDatabase();
    await copy(url, { stored: { ...STORED, history: [] } });
    expect(await ask(url, "select min_rev::int from clock")).toEqual([{ min_rev: 8 }]);
  });

  it("may be written to by nodes, which follow its history", async () => {
    const url = await emptyDatabase();
    await copy(url);
    const [a, b] = [await openNode(url), await openNode(url)];
    await a.load();
    await b.load();
    const known = { revision: 8n, stamp: "stamp-8" };
    const next = commitOf(9n, { tokens: [tokenRecord({ id: "token-3" })] });
    await a.commit({ known: () => known, holdingsOf: [], decide: () => [next] });
    expect(await b.shared?.since(known)).toEqual({ commits: [next], revision: 9n });
  });
});

describePostgres("leases of a copy", () => {
  /** What a copied service says of its lease, and whether it is due once nodes run. */
  async function leaseAfter(change: Partial<ServiceRecord>) {
    const url = await emptyDatabase();
    await copy(url, { stored: { ...STORED, services: [serviceRecord(change)], entries: [] } });
    const store = await openNode(url);
    await store.shared?.join({ id: "node", name: "node" });
    const due = await store.shared?.due();
    const [service] = (await store.load()).services;
    return { leaseExpiresAt: service?.leaseExpiresAt, due: due?.length };
  }

  it("have a whole TTL and the grace, whatever was left of them", async () => {
    const alive = { leaseExpiresAt: NOW - 1, ttlMs: 30_000 };
    const whole = { leaseExpiresAt: NOW + 33_000, due: 0 };
    expect(await leaseAfter(alive)).toEqual(whole);
    expect(await leaseAfter({ ...alive, leaseCredited: true })).toEqual(whole);
    expect(await leaseAfter({ ...alive, status: "degraded" })).toEqual(whole);
    expect(await leaseAfter({ ...alive, status: "offline", saidOffline: true })).toEqual(whole);
  });

  it("are not lengthened for an instance that is offline, nor revived where they had ended", async () => {
    const offline = { leaseExpiresAt: NOW - 1, status: "offline" } as const;
    expect(await leaseAfter(offline)).toEqual({ leaseExpiresAt: NOW - 1, due: 0 });
    expect(await leaseAfter({ ...offline, leaseActive: false })).toEqual({
      leaseExpiresAt: NOW - 1,
      due: 0,
    });
  });

  it("lapse once nodes have lived that long without the instance", async () => {
    const url = await emptyDatabase();
    await copy(url);
    await ask(url, `update registry_time set ms = ${NOW + 17_999}`);
    const { shared } = await openNode(url);
    expect(await shared?.due()).toEqual([]);
    await ask(url, `update registry_time set ms = ${NOW + 18_000}`);
    expect((await shared?.due())?.map(({ serviceId }) => serviceId).sort()).toEqual([
      "service-1",
      "service-2",
    ]);
  });
});

describePostgres("a copy that is interrupted", () => {
  it("leaves nothing", async () => {
    const url = await emptyDatabase();
    const interrupt = () => {
      throw new Error("interrupted");
    };
    await expect(copy(url, { onProgress: interrupt })).rejects.toThrow("interrupted");
    expect(await ask(url, TABLES)).toEqual([]);
    expect((await copy(url)).kind).toBe("copied");
  });

  it("by a lost connection says what to do, and leaves nothing", async () => {
    const url = await emptyDatabase();
    const services = Array.from({ length: 3_000 }, (_, i) => serviceRecord({ id: `service-${i}` }));
    let cut: Promise<unknown> | undefined;
    const onProgress = () => {
      cut ??= ask(
        url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pulse migrate' and datname = current_database()",
      );
    };
    const stored = { ...STORED, services };
    expect(await refusal(copy(url, { stored, onProgress }))).toMatch(
      /^postgres:.* cannot be used, /,
    );
    expect(await cut).toHaveLength(1);
    expect(await ask(url, TABLES)).toEqual([]);
  });
});

describePostgres("a node that starts while a copy is made", () => {
  it("waits, and starts on the whole of it", async () => {
    const url = await emptyDatabase();
    const services = Array.from({ length: 3_000 }, (_, i) => serviceRecord({ id: `service-${i}` }));
    let started: Promise<StoredRegistry> | undefined;
    const onProgress = () => {
      started ??= openNode(url).then((store) => store.load());
    };
    await copy(url, { stored: { ...STORED, services, entries: [] }, onProgress });
    const { epoch, services: found } = (await started) ?? {};
    expect({ epoch, count: found?.length }).toEqual({ epoch: STORED.epoch, count: 3_000 });
  });
});

describePostgres("a difference", () => {
  it("fails the copy, says where, and leaves nothing", async () => {
    const url = await emptyDatabase();
    // A database that changes what it is given, as soon as the table is there.
    await ask(
      url,
      `create function change_names() returns trigger language plpgsql as
        $$ begin new.name = upper(new.name); return new; end $$;
      create function watch_tables() returns event_trigger language plpgsql as $$ begin
        if to_regclass('tokens') is not null and not exists (select 1 from pg_trigger where tgname = 'change_names')
        then create trigger change_names before insert on tokens for each row execute function change_names();
        end if; end $$;
      create event trigger watch_tables on ddl_command_end when tag in ('CREATE TABLE')
        execute function watch_tables();`,
    );
    expect(await refusal(copy(url))).toMatch(
      /does not have what was to be copied \(tokens: 2 rows here, 2 there, 0 of them alike\): give an empty/,
    );
    expect(await ask(url, TABLES)).toEqual([]);
  });
});

describePostgres("a database that is not empty", () => {
  it("is found to have the whole copy, and left alone", async () => {
    const url = await emptyDatabase();
    const { tables } = (await copy(url)) as { tables: unknown };
    expect(await copy(url)).toEqual({ kind: "found", tables });
  });

  it("is not taken for the copy if a row of it is missing or another", async () => {
    const url = await emptyDatabase();
    await copy(url);
    await ask(url, "update download_clients set priority = 1 where id = 'manual-1'");
    await ask(url, "delete from tokens where id = 'token-2'");
    expect(await refusal(copy(url))).toMatch(
      /\(download_clients: 2 rows here, 2 there, 1 of them alike; tokens: 2 rows here, 1 there, 1 of them alike\)/,
    );
  });

  it("is left alone if nodes have gone on with the copy", async () => {
    const url = await emptyDatabase();
    await copy(url);
    const store = await openNode(url);
    await store.shared?.join({ id: "node", name: "node" });
    expect(await copy(url)).toEqual({ kind: "found-in-use", revision: 8n });
    await store.load();
    await store.commit({
      known: () => ({ revision: 8n, stamp: "stamp-8" }),
      holdingsOf: [],
      decide: () => [commitOf(9n, { tokens: [tokenRecord({ id: "token-3" })] })],
    });
    expect(await copy(url)).toEqual({ kind: "found-in-use", revision: 9n });
    await store.compact(9n);
    expect(await refusal(copy(url))).toMatch(/no longer knows what it was at 8/);
  });

  it("is refused if the source has gone on since", async () => {
    const url = await emptyDatabase();
    await copy(url);
    const later = { ...STORED, revision: 9n, stamp: "stamp-9" };
    expect(await refusal(copy(url, { stored: later }))).toMatch(/gone on in another way, to 9/);
    const apart = { ...STORED, stamp: "another" };
    expect(await refusal(copy(url, { stored: apart }))).toMatch(/gone on in another way, to 8/);
  });

  it("is refused if it has a registry of its own", async () => {
    const url = await emptyDatabase();
    const store = await openNode(url);
    const { epoch } = await store.load();
    expect(await refusal(copy(url))).toMatch(
      /has a registry of its own, at revision 0: give an empty/,
    );
    expect((await store.load()).epoch).toBe(epoch);
  });

  it("is refused if another program has a table of ours, and used beside others", async () => {
    const url = await emptyDatabase();
    await ask(url, "create table tokens (x int); create table visitors (x int)");
    expect(await refusal(copy(url))).toMatch(/has a table tokens of another program/);
    await ask(url, "drop table tokens");
    expect((await copy(url)).kind).toBe("copied");
  });

  it("is refused if a newer Pulse made it", async () => {
    const url = await emptyDatabase();
    await copy(url);
    await ask(url, "update schema_version set version = 99");
    expect(await refusal(copy(url))).toMatch(/newer Pulse \(schema 99/);
  });
});

describePostgres("the key", () => {
  it("is the source's: a node with another is refused", async () => {
    const url = await emptyDatabase();
    await copy(url);
    const options = { url, directory: await temporaryDirectory(), random: systemRandom };
    const opened = openPostgresStore({ ...options, secretKey: "b2".repeat(32) });
    expect(await refusal(opened)).toMatch(/is not the key/);
  });
});
