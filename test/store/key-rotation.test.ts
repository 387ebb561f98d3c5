import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { keyIdOf } from "../../src/lib/sealing.js";
import { parseKeys } from "../../src/store/secret-key.js";
import {
  KeyRotationError,
  type RotationStep,
  type Store,
  StoreUnavailableError,
} from "../../src/store/store.js";
import { describePostgres } from "../support/postgres.js";
import { describeEngines, dump, type Place, placeAt, postgresPlace } from "./engines.js";
import { refusal } from "./refusal.js";
import {
  commitOf,
  entryRecord,
  manualRecord,
  pointOf,
  requestOf,
  serviceCommit,
  serviceRecord,
} from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

const OLD = "a1".repeat(32);
const NEW = "b2".repeat(32);
const [OLD_ID, NEW_ID] = [OLD, NEW].map((key) => keyIdOf(Buffer.from(key, "hex")));
/** What the release before has made with that key: a check, and the credentials of `service-1`. */
const OLD_CHECK = "1.esZru-Sutw4aLnVY1nooY4k1ip-LFJMU4E5wHW_W2kab";
const OLD_CREDENTIALS = "1.OvQEBtjwE1oCBM8tM4dYn_kDO-OJ2RAh537Y7QdraCexIJJf9UvmncD56q9X";
const BOTH = `${NEW},${OLD}`;

const rotate = (store: Store, onStep: (step: RotationStep) => void = () => {}) =>
  store.rotateKeys(onStep);

/** Secrets in every place that has some, tombstones too; as many services as fill several slices. */
const records = {
  services: [
    ...Array.from({ length: 150 }, (_, n) =>
      serviceRecord({ id: `service-${n + 1}`, instanceId: `i-${n}`, apiKey: `key ${n}` }),
    ),
    serviceRecord({ id: "removed", instanceId: "removed", removed: true, apiKey: "key removed" }),
    serviceRecord({ id: "open", instanceId: "open", username: "", apiKey: "" }),
  ],
  entries: [
    entryRecord({
      origin: { source: "auto", serviceId: "service-1", overrides: { password: "override" } },
    }),
    entryRecord({ id: "deleted", deletedAt: 5, origin: { ...manualRecord().origin } }),
    manualRecord(),
  ],
};
/** How many of these are sealed. */
const SEALED = 151 + 3;

async function made(place: Place, secretKey?: string): Promise<Store> {
  const store = await place.open(secretKey);
  await store.commit(requestOf([commitOf(1n, records)]));
  return store;
}

/** What a store holds, opened. */
async function contents(place: Place, secretKey?: string) {
  const store = await place.open(secretKey);
  const { services, entries } = await store.load();
  await store.close();
  const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1);
  return { services: [...services].sort(byId), entries: [...entries].sort(byId) };
}

const sorted = (() => {
  const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1);
  return {
    services: [...records.services].sort(byId),
    entries: [...records.entries].sort(byId),
  };
})();

describeEngines("a rotation to a key that is given", (engine) => {
  it("seals everything anew, and the new key alone opens it", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    expect(await dump(place.connect())).toContain(OLD_ID);
    const store = await place.open(BOTH);
    const feed = engine.isShared ? 1 : 0;
    expect(await rotate(store)).toEqual({
      keyId: NEW_ID,
      resealed: SEALED + feed,
      retiredKeyIds: [OLD_ID],
    });
    await store.close();
    expect(await dump(place.connect())).not.toContain(OLD_ID);
    expect(await contents(place, NEW)).toEqual(sorted);
    expect(await refusal(place.open(OLD))).toMatch(/is not the key/);
  });

  it("makes no commit, and is done a second time at no cost", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const store = await place.open(BOTH);
    const { services: _, entries: __, ...before } = await store.load();
    await rotate(store);
    expect(await store.load()).toMatchObject(before);
    expect(await rotate(store)).toMatchObject({ keyId: NEW_ID, resealed: 0 });
    await store.commit(requestOf([serviceCommit(2n)], pointOf(1n)));
  });

  it("needs a new key, and says how to give one", async () => {
    const place = await engine.place();
    const store = await made(place, OLD);
    const refused = await rotate(store).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(KeyRotationError);
    expect(refused).toMatchObject({ reason: "NO_NEW_KEY" });
    const { message } = refused as Error;
    expect(message).toMatch(/PULSE_SECRET_KEY holds only one.*openssl rand -hex 32.*NEW,OLD/);
    expect(message.includes("every Pulse")).toBe(engine.isShared);
    expect(message).not.toContain(OLD);
  });

  it("also seals anew what the release before has sealed, and knows its key", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const db = place.connect();
    await db.updateTable("clock").set({ key_check: OLD_CHECK }).execute();
    await db
      .updateTable("services")
      .set({ credentials: OLD_CREDENTIALS })
      .where("id", "=", "service-1")
      .execute();
    expect(await contents(place, OLD)).toEqual(sorted);
    const store = await place.open(BOTH);
    await rotate(store);
    await store.close();
    expect(await contents(place, NEW)).toEqual(sorted);
    expect(await dump(db)).not.toContain(OLD_CREDENTIALS);
  });

  it.each<RotationStep>(["prepared", "adopted", "resealed", "purged", "retired"])(
    "that ends after it has %s leaves a store that opens with both keys, and can be gone on with",
    async (last) => {
      const place = await engine.place();
      await (await made(place, OLD)).close();
      const store = await place.open(BOTH);
      const cut = rotate(store, (step) => {
        if (step === last) throw new Error("cut");
      });
      await expect(cut).rejects.toThrow("cut");
      await store.close();
      expect(await contents(place, BOTH)).toEqual(sorted);
      const next = await place.open(BOTH);
      expect(await rotate(next)).toMatchObject({ keyId: NEW_ID, retiredKeyIds: [OLD_ID] });
      await next.close();
      expect(await contents(place, NEW)).toEqual(sorted);
      expect(await dump(place.connect())).not.toContain(OLD_ID);
    },
  );

  it("loses nothing that is committed meanwhile, nor seals any of it with the old key", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const store = await place.open(BOTH);
    let revision = 1n;
    const acknowledged = new Map<string, string>();
    let isRotated = false;
    async function write(): Promise<void> {
      for (let n = 0; !isRotated || n < 50; n++) {
        const id = `service-${(n % 150) + 1}`;
        const apiKey = `key ${n} of a writer`;
        const change = { id, instanceId: `i-${id}`, apiKey };
        await store.commit(requestOf([serviceCommit(revision + 1n, change)], pointOf(revision)));
        revision++;
        acknowledged.set(id, apiKey);
        await new Promise(setImmediate); // SQLite does not wait for anything
      }
    }
    const writing = write();
    await rotate(store).finally(() => {
      isRotated = true;
    });
    await writing;
    await store.close();
    expect(await dump(place.connect())).not.toContain(OLD_ID);
    const { services } = await contents(place, NEW);
    const found = new Map(services.map(({ id, apiKey }) => [id, apiKey]));
    expect(acknowledged.size).toBeGreaterThan(40);
    for (const [id, apiKey] of acknowledged) expect(found.get(id)).toBe(apiKey);
  });

  it("runs once for all who ask for it meanwhile", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const store = await place.open(BOTH);
    const [one, two] = await Promise.all([rotate(store), rotate(store)]);
    expect(two).toEqual(one);
  });

  it("ends when the store is closed, and goes on another time", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const store = await place.open(BOTH);
    let closing: Promise<void> | undefined;
    const cut = rotate(store, (step) => {
      if (step === "resealed") closing ??= store.close();
    });
    await expect(cut).rejects.toThrow(StoreUnavailableError);
    await closing;
    expect(await dump(place.connect())).toContain(OLD_ID);
    const next = await place.open(BOTH);
    await rotate(next);
    await next.close();
    expect(await contents(place, NEW)).toEqual(sorted);
  });
});

describeEngines("a store with a new key first", (engine) => {
  it("opens, and so with the old key first; one Pulse alone seals with the first", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    expect(await contents(place, `${OLD},${NEW}`)).toEqual(sorted);
    const store = await place.open(BOTH);
    await store.commit(requestOf([serviceCommit(2n, { apiKey: "new" })], pointOf(1n)));
    await store.close();
    expect((await dump(place.connect())).includes(NEW_ID ?? "")).toBe(!engine.isShared);
  });

  it("whose old key was taken away too early says which one it misses", async () => {
    const place = await engine.place();
    await (await made(place, OLD)).close();
    const store = await place.open(BOTH);
    const cut = rotate(store, (step) => {
      if (step === "adopted") throw new Error("cut");
    });
    await expect(cut).rejects.toThrow("cut");
    await store.close();
    const message = await refusal((await place.open(NEW)).load());
    expect(message).toContain(`encrypted with the key ${OLD_ID}, which this Pulse does not have`);
    expect(message).not.toMatch(new RegExp(`${OLD}|${NEW}`));
  });

  it("is refused without a key in the message if one of several is malformed", async () => {
    const place = await engine.place();
    const message = await refusal(place.open(`${NEW},${OLD.slice(2)}`));
    expect(message).toMatch(/^PULSE_SECRET_KEY must hold 32 bytes.*several.*commas/);
    expect(message).not.toContain(OLD.slice(2));
    expect(message).not.toContain(NEW);
  });
});

describe("a rotation of a key file", () => {
  /** Like `made` of a store whose key is in a file. */
  async function madeHere(): Promise<{ readonly directory: string; readonly oldKey: string }> {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    await store.commit(requestOf([commitOf(1n, records)]));
    await store.close();
    return { directory, oldKey: await keysOf(directory) };
  }
  const file = (directory: string) => join(directory, "secret.key");
  const keysOf = (directory: string) => readFile(file(directory), "utf8");
  const idsOf = async (directory: string) => parseKeys(await keysOf(directory))?.map(keyIdOf) ?? [];

  async function expectOnly(directory: string, oldKey: string): Promise<void> {
    const place = { directory, open: (key?: string) => openStore(directory, key) };
    const [newId, ...others] = await idsOf(directory);
    const [oldId = ""] = parseKeys(oldKey)?.map(keyIdOf) ?? [];
    expect([newId === oldId, others]).toEqual([false, []]);
    for (const name of await readdir(directory)) {
      const bytes = await readFile(join(directory, name));
      expect([name, bytes.includes(oldId)]).toEqual([name, false]);
      expect([name, bytes.includes(oldKey.trim())]).toEqual([name, false]);
    }
    expect(await contents(place as Place)).toEqual(sorted);
    expect(await refusal(openStore(directory, oldKey.trim()))).toMatch(/is not the key/);
  }

  it("makes a key, and leaves nothing of the old one on disk, while it runs", async () => {
    const { directory, oldKey } = await madeHere();
    const [oldId] = await idsOf(directory);
    const store = await openStore(directory);
    const rotation = await rotate(store);
    expect(rotation).toEqual({
      keyId: (await idsOf(directory))[0],
      resealed: SEALED,
      retiredKeyIds: [oldId],
    });
    expect((await stat(file(directory))).mode & 0o777).toBe(0o600);
    for (const name of ["pulse.db", "pulse.db-wal", "pulse.db-shm"]) {
      const bytes = await readFile(join(directory, name));
      expect([name, bytes.includes(oldId as string)]).toEqual([name, false]);
    }
    await store.close();
    await expectOnly(directory, oldKey);
  });

  it("each time makes another", async () => {
    const { directory, oldKey } = await madeHere();
    const store = await openStore(directory);
    const first = await rotate(store);
    const second = await rotate(store);
    expect(second.retiredKeyIds).toEqual([first.keyId]);
    await store.close();
    await expectOnly(directory, oldKey);
  });

  it.each<RotationStep>(["prepared", "adopted", "resealed", "purged", "retired"])(
    "that ends after it has %s leaves a store that starts, and goes on with the same key",
    async (last) => {
      const { directory, oldKey } = await madeHere();
      const store = await openStore(directory);
      const cut = rotate(store, (step) => {
        if (step === last) throw new Error("cut");
      });
      await expect(cut).rejects.toThrow("cut");
      await store.close();
      const ids = await idsOf(directory);
      expect(ids.length).toBe(last === "retired" ? 1 : 2);
      await writeFile(`${file(directory)}.0123456789ab.tmp`, oldKey); // as a kill leaves it
      const next = await openStore(directory);
      expect((await next.load()).services.length).toBe(records.services.length);
      const { keyId } = await rotate(next);
      if (last !== "retired") expect(keyId).toBe(ids[0]);
      await next.close();
      await expectOnly(directory, oldKey);
    },
  );

  it("does not write over a file that somebody has changed meanwhile", async () => {
    const { directory, oldKey } = await madeHere();
    const store = await openStore(directory);
    const theirs = `${NEW}\n${oldKey}`;
    await writeFile(file(directory), theirs);
    await expect(rotate(store)).rejects.toMatchObject({ reason: "KEY_FILE_CHANGED" });
    expect(await keysOf(directory)).toBe(theirs);
    await store.close();
    const next = await openStore(directory);
    expect(await rotate(next)).toMatchObject({ keyId: NEW_ID });
  });
});

describePostgres("nodes that share a store", () => {
  it("seal with the key in use until one of them rotates, whichever they have first", async () => {
    const place = await postgresPlace();
    const [a, b] = [await made(place, OLD), await (await placeAt(place.url)).open(BOTH)];
    await b.commit(requestOf([serviceCommit(2n, { apiKey: "of b" })], pointOf(1n)));
    const { commits = [] } = (await a.shared?.since(pointOf(1n))) ?? {};
    expect(commits[0]?.services[0]?.apiKey).toBe("of b"); // a has never heard of the new key
    await a.close();
    const c = await (await placeAt(place.url)).open(BOTH);
    await rotate(b);
    await c.commit(requestOf([serviceCommit(3n, { apiKey: "of c" })], pointOf(2n)));
    expect(await dump(place.connect())).not.toContain(OLD_ID);
    await Promise.all([b.close(), c.close()]);
    expect((await (await place.open(NEW)).load()).revision).toBe(3n);
  });

  it("may rotate at the same time, and share the work", async () => {
    const place = await postgresPlace();
    await (await made(place, OLD)).close();
    const stores = await Promise.all([1, 2].map(async () => (await placeAt(place.url)).open(BOTH)));
    const rotations = await Promise.all(stores.map((store) => rotate(store)));
    const resealed = rotations.reduce((sum, rotation) => sum + rotation.resealed, 0);
    expect(resealed).toBe(SEALED + 1);
    await Promise.all(stores.map((store) => store.close()));
    expect(await dump(place.connect())).not.toContain(OLD_ID);
    expect(await contents(place, NEW)).toEqual(sorted);
  });

  it("refuse to write and to follow without the key that another has brought in, and say which", async () => {
    const place = await postgresPlace();
    const stranger = await made(place, OLD);
    const rotated = await (await placeAt(place.url)).open(BOTH);
    await rotate(rotated);
    await rotated.commit(requestOf([serviceCommit(2n)], pointOf(1n)));
    for (const use of [
      () => stranger.commit(requestOf([serviceCommit(3n)], pointOf(2n))),
      async () => void (await stranger.shared?.since(pointOf(1n))),
    ]) {
      const refused = await use().catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(StoreUnavailableError);
      expect((refused as Error).message).toContain(`the key ${NEW_ID}, which this Pulse does not`);
    }
    // Nothing that it has sealed with the old key came in.
    expect(await dump(place.connect())).not.toContain(OLD_ID);
  });

  it("with a key file are given keys as any others: nobody makes one for all", async () => {
    const place = await postgresPlace();
    const store = await made(place);
    await expect(rotate(store)).rejects.toThrow(/secret\.key holds only one.*every Pulse/);
    expect(parseKeys(await readFile(join(place.directory, "secret.key"), "utf8"))).toHaveLength(1);
  });
});
