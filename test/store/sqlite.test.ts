import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Database from "libsql";
import { describe, expect, it } from "vitest";
import { refusal } from "./refusal.js";
import { commitOf, entryRecord, requestOf, serviceRecord, tokenRecord } from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

const KEY = "a1".repeat(32);
const OTHER_KEY = "b2".repeat(32);
const API_KEY = "planted-api-key-4711";
const USERNAME = "planted-user-4711";

/** A store with one service in it, closed. */
async function madeStore(secretKey?: string): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await openStore(directory, secretKey);
  const service = serviceRecord({ username: USERNAME, apiKey: API_KEY });
  await store.commit(requestOf([commitOf(1n, { services: [service], entries: [entryRecord()] })]));
  await store.close();
  return directory;
}

describe("the files", () => {
  it("are the owner's alone, while it runs and after", async () => {
    const directory = join(await temporaryDirectory(), "deep", "data ?#%20 ü");
    const store = await openStore(directory);
    await store.commit(requestOf([commitOf(1n, { tokens: [tokenRecord()] })]));
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
    await store.commit(requestOf([commitOf(1n, {})]));
    for (const name of ["pulse.db", "pulse.db-wal"])
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
  });

  it("hold no credential in clear, not even before a checkpoint", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const service = serviceRecord({ username: USERNAME, apiKey: API_KEY });
    await store.commit(requestOf([commitOf(1n, { services: [service] })]));
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

describe("an owner", () => {
  it("is the only one, and another may follow it", async () => {
    const directory = await temporaryDirectory();
    const owner = await openStore(directory);
    expect(await refusal(openStore(directory))).toMatch(
      /another Pulse uses .*: stop it, or choose/,
    );
    await owner.commit(requestOf([commitOf(1n, {})])); // the refused one did it no harm
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
  it("is refused if another store's key file was put there", async () => {
    const directory = await madeStore();
    await cp(join(await madeStore(), "secret.key"), join(directory, "secret.key"));
    expect(await refusal(openStore(directory))).toMatch(/secret\.key is not the key/);
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

  it("a database that another program holds", async () => {
    const directory = await madeStore();
    const other = new Database(join(directory, "pulse.db"));
    other.exec("begin immediate");
    expect(await refusal(openStore(directory))).toMatch(/another program holds the database/);
    other.exec("rollback");
    other.close();
  });
});
