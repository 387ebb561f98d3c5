import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Database from "libsql";
import { describe, expect, it } from "vitest";
import { StoreOpenError } from "../../src/store/store.js";
import { commitOf, entryRecord, serviceRecord, tokenRecord } from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

const KEY = "a1".repeat(32);
const OTHER_KEY = "b2".repeat(32);
const API_KEY = "planted-api-key-4711";
const USERNAME = "planted-user-4711";

async function refusal(opened: Promise<unknown>): Promise<string> {
  const error = await opened.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreOpenError);
  const { message } = error as StoreOpenError;
  expect(message).not.toContain("\n");
  return message;
}

/** A store with one service in it, closed. */
async function madeStore(secretKey?: string): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await openStore(directory, secretKey);
  const service = serviceRecord({ username: USERNAME, apiKey: API_KEY });
  await store.commit([commitOf(1n, { services: [service], entries: [entryRecord()] })], 0n);
  await store.close();
  return directory;
}

/** Runs SQL on a store that is closed. */
function tamper(directory: string, sql: string): void {
  const database = new Database(join(directory, "pulse.db"));
  database.exec(sql);
  database.exec("pragma wal_checkpoint(truncate)");
  database.close();
}

describe("the files", () => {
  it("are the owner's alone, while it runs and after", async () => {
    const directory = join(await temporaryDirectory(), "deep", "data ?#%20 ü");
    const store = await openStore(directory);
    await store.commit([commitOf(1n, { tokens: [tokenRecord()] })], 0n);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const names = await readdir(directory);
    expect(names).toEqual(
      expect.arrayContaining([
        "pulse.db",
        "pulse.db-wal",
        "pulse.db-shm",
        "pulse.lock",
        "secret.key",
      ]),
    );
    for (const name of names)
      expect([name, (await stat(join(directory, name))).mode & 0o777]).toEqual([name, 0o600]);
  });

  it("are made the owner's alone if they were not", async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "pulse.db"), "", { mode: 0o644 });
    const store = await openStore(directory);
    await store.commit([commitOf(1n, {})], 0n);
    for (const name of ["pulse.db", "pulse.db-wal"])
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
  });

  it("hold no credential in clear, not even before a checkpoint", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const service = serviceRecord({ username: USERNAME, apiKey: API_KEY });
    await store.commit([commitOf(1n, { services: [service] })], 0n);
    const wal = await readFile(join(directory, "pulse.db-wal"));
    expect(wal.includes("service-1.1.secret")).toBe(true); // the row is in it
    expect(wal.includes(API_KEY) || wal.includes(USERNAME)).toBe(false);
    await store.close();
    for (const name of await readdir(directory)) {
      const bytes = await readFile(join(directory, name));
      expect(bytes.includes(API_KEY) || bytes.includes(USERNAME)).toBe(false);
    }
  });

  it("are in WAL mode, so that others can read while it writes", async () => {
    const directory = await madeStore();
    const database = new Database(join(directory, "pulse.db"));
    expect(database.prepare("pragma journal_mode").all()).toEqual([{ journal_mode: "wal" }]);
    database.close();
  });

  it("work where a copy of them is put", async () => {
    const directory = await madeStore();
    const copy = join(await temporaryDirectory(), "copy");
    await cp(directory, copy, { recursive: true });
    expect((await (await openStore(copy)).load()).services[0]?.apiKey).toBe(API_KEY);
  });
});

describe("the epoch", () => {
  it("stays with a store, and no two stores have the same", async () => {
    const directory = await madeStore();
    const first = await openStore(directory);
    const { epoch } = await first.load();
    await first.close();
    expect((await (await openStore(directory)).load()).epoch).toBe(epoch);
    const other = await openStore(await temporaryDirectory());
    expect((await other.load()).epoch).not.toBe(epoch);
  });
});

describe("an owner", () => {
  it("is the only one, and another may follow it", async () => {
    const directory = await temporaryDirectory();
    const owner = await openStore(directory);
    expect(await refusal(openStore(directory))).toMatch(
      /another Pulse uses .*: stop it, or choose/,
    );
    await owner.commit([commitOf(1n, {})], 0n); // the refused one did it no harm
    expect(await refusal(openStore(directory))).toContain("another Pulse"); // nor took its lock
    await owner.close();
    expect((await (await openStore(directory)).load()).revision).toBe(1n);
  });

  it("does not stay where it could not open", async () => {
    const directory = await madeStore(KEY);
    await refusal(openStore(directory, OTHER_KEY));
    await openStore(directory, KEY);
  });
});

describe("the key", () => {
  it("may be given, as hex or base64", async () => {
    const directory = await madeStore(KEY);
    expect(await readdir(directory)).not.toContain("secret.key");
    const base64 = Buffer.from(KEY, "hex").toString("base64");
    expect((await (await openStore(directory, base64)).load()).services[0]?.apiKey).toBe(API_KEY);
  });

  it.each(["", "short", KEY.slice(2), `${KEY}00`, "z".repeat(64)])(
    "is refused without being repeated if it is malformed (%j)",
    async (secretKey) => {
      const message = await refusal(openStore(await temporaryDirectory(), secretKey));
      expect(message).toMatch(/^PULSE_SECRET_KEY must hold 32 bytes/);
      if (secretKey !== "") expect(message).not.toContain(secretKey);
    },
  );

  it("is refused if it is another one", async () => {
    const directory = await madeStore(KEY);
    const message = await refusal(openStore(directory, OTHER_KEY));
    expect(message).toMatch(/^PULSE_SECRET_KEY is not the key/);
    expect(message).not.toContain(OTHER_KEY);
  });

  it("is refused if another store's key file was put there", async () => {
    const directory = await madeStore();
    await cp(join(await madeStore(), "secret.key"), join(directory, "secret.key"));
    expect(await refusal(openStore(directory))).toMatch(/secret\.key is not the key/);
  });

  it("is never made anew for a database that has one", async () => {
    const directory = await madeStore();
    await rm(join(directory, "secret.key"));
    expect(await refusal(openStore(directory))).toMatch(/secret\.key is missing.*: restore/);
    expect(await readdir(directory)).not.toContain("secret.key");
  });

  it("opens no credentials that were moved to another row", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const services = [serviceRecord(), serviceRecord({ id: "service-2", apiKey: "other" })];
    await store.commit([commitOf(1n, { services })], 0n);
    await store.close();
    tamper(
      directory,
      `update services set credentials = (
        select other.credentials from services as other where other.id <> services.id)`,
    );
    const swapped = await openStore(directory);
    expect(await refusal(swapped.load())).toMatch(/do not belong to their row/);
  });
});

describe("what cannot be opened says what to do", () => {
  it("a directory below a file", async () => {
    const file = join(await temporaryDirectory(), "file");
    await writeFile(file, "");
    expect(await refusal(openStore(join(file, "data")))).toMatch(/ENOTDIR.*--data/);
    expect(await refusal(openStore(file))).toMatch(/ENOTDIR.*--data/);
  });

  it("a directory in the place of the database", async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, "pulse.db"));
    expect(await refusal(openStore(directory))).toMatch(/pulse\.db cannot be used.*--data/);
  });

  it("a file that is no database", async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "pulse.db"), "hello ".repeat(1_000));
    expect(await refusal(openStore(directory))).toMatch(/is no database of Pulse: move it away/);
  });

  it("a database with a damaged page", async () => {
    const directory = await madeStore();
    const path = join(directory, "pulse.db");
    const bytes = await readFile(path);
    bytes.fill(0xff, 4096); // all but the first page
    await writeFile(path, bytes);
    const opened = openStore(directory).then((store) => store.load());
    expect(await refusal(opened)).toMatch(/is damaged: restore a backup/);
  });

  it("a database of a newer Pulse", async () => {
    const directory = await madeStore();
    tamper(directory, "update schema_version set version = 99");
    expect(await refusal(openStore(directory))).toMatch(
      /newer Pulse \(schema 99, .*start that version/,
    );
  });

  it("a database that another program holds", async () => {
    const directory = await madeStore();
    const other = new Database(join(directory, "pulse.db"));
    other.exec("begin immediate");
    expect(await refusal(openStore(directory))).toMatch(/another program holds the database/);
    other.exec("rollback");
    other.close();
  });
});
