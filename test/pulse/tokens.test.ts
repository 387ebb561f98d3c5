import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { PLAIN_TOKEN, type TokenRecord } from "../../src/core/token.js";
import { revokeToken } from "../../src/core/token-command.js";
import { createRegistry, type Registry } from "../../src/pulse/registry.js";
import { hashSecret, newToken, prepareTokenFiles, verifyToken } from "../../src/pulse/tokens.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";

const random = seededRandom(11);
const UNKNOWN = `pulse_${"0".repeat(16)}_${"A".repeat(43)}`;

describe("a token", () => {
  const made = newToken(random);
  const record: TokenRecord = {
    ...PLAIN_TOKEN,
    id: made.id,
    name: "haul",
    scopes: ["register"],
    hash: made.hash,
    createdAt: 0,
  };

  function verify(authorization: string | undefined, known: TokenRecord = record, at = 0) {
    try {
      return verifyToken(authorization, (id) => (id === known.id ? known : undefined), at);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const { refusal, message } = error;
      return { reason: "reason" in refusal && refusal.reason, message };
    }
  }

  it("names itself, and is stored as a hash alone", () => {
    expect(made.token).toMatch(/^pulse_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
    expect(made.token).toContain(made.id);
    expect(made.hash).toBe(hashSecret(made.token));
    expect(newToken(random).token).not.toBe(made.token);
  });

  it.each([`Bearer ${made.token}`, `bearer ${made.token}`, `BEARER   ${made.token}`])(
    "is valid as %j",
    (authorization) => {
      expect(verify(authorization)).toBe(record);
    },
  );

  it("that is not sent is missing", () => {
    expect(verify(undefined)).toMatchObject({ reason: "TOKEN_MISSING" });
  });

  it.each([
    ["empty", ""],
    ["without its scheme", made.token],
    ["of another scheme", `Basic ${made.token}`],
    ["sent twice", `Bearer ${made.token}, Bearer ${made.token}`],
    ["with something behind it", `Bearer ${made.token} x`],
    [
      "with another secret",
      `Bearer ${made.token.slice(0, -1)}${made.token.endsWith("A") ? "B" : "A"}`,
    ],
    ["cut", `Bearer ${made.token.slice(0, -1)}`],
    ["that is only an id", `Bearer ${made.id}`],
    ["that is the stored hash", `Bearer ${made.hash}`],
    // For an unknown id the secret is compared with itself, to take the same time.
    ["of an unknown id", `Bearer ${UNKNOWN}`],
  ])("%s is invalid, and nothing says why", (_, authorization) => {
    const refused = verify(authorization);
    expect(refused).toEqual({
      reason: "TOKEN_INVALID",
      message: "the token is not valid: it is unknown or was revoked",
    });
  });

  it("that was revoked is invalid, in the same words as an unknown one", () => {
    const refused = verify(`Bearer ${made.token}`, { ...record, revokedAt: 0 });
    expect(refused).toEqual(verify(`Bearer ${UNKNOWN}`));
  });
});

describe("a token with an end", () => {
  const made = newToken(random);
  const record: TokenRecord = {
    ...PLAIN_TOKEN,
    id: made.id,
    name: "ends",
    scopes: ["register"],
    hash: made.hash,
    createdAt: 0,
    expiresAt: 1_000,
  };

  function reasonAt(at: number, known = record, token = made.token): string {
    try {
      verifyToken(`Bearer ${token}`, () => known, at);
      return "valid";
    } catch (error) {
      const refusal = error instanceof DomainError && error.refusal;
      return refusal && "reason" in refusal ? refusal.reason : String(error);
    }
  }

  it("is valid until then, and has expired from then on", () => {
    expect([0, 999, 1_000, 9_999].map((at) => reasonAt(at))).toEqual([
      "valid",
      "valid",
      "TOKEN_EXPIRED",
      "TOKEN_EXPIRED",
    ]);
  });

  it("says so to nobody who only has its id, and not once it is revoked", () => {
    const guess = `${made.token.slice(0, -2)}xx`;
    expect(reasonAt(2_000, record, guess)).toBe("TOKEN_INVALID");
    expect(reasonAt(2_000, { ...record, revokedAt: 5 })).toBe("TOKEN_INVALID");
  });
});

describe("the token files", () => {
  let directory: string;
  let store: MemoryStore;
  let registry: Registry;
  let log: ReturnType<typeof recordingLog>;
  /** Other Pulses use the store. */
  let isShared: boolean;
  beforeEach(async () => {
    isShared = false;
    log = recordingLog();
    directory = join(await mkdtemp(join(tmpdir(), "tokens-")), "tokens");
    store = new MemoryStore();
    await restart();
  });
  afterEach(() => rm(join(directory, ".."), { recursive: true }));

  /** Another run of Pulse, on the same store or on a wiped one. */
  async function restart(onStore = store): Promise<void> {
    store = onStore;
    registry = createRegistry({
      store,
      stored: await store.load(),
      clock: new ManualClock(),
      random,
      registryNow: () => 0,
      log: recordingLog(),
      gatherMs: 0,
    });
  }
  const prepare = () => prepareTokenFiles({ directory, isShared, registry, random, log });
  const read = async (name: string) => (await readFile(join(directory, name), "utf8")).trim();
  /** Scopes of the token in a file, or why it is refused. */
  async function scopesOf(name: string): Promise<string> {
    try {
      const token = `Bearer ${await read(name)}`;
      return verifyToken(token, (id) => registry.catalog.token(id), 0).scopes.join();
    } catch (error) {
      return (error as Error).message;
    }
  }
  const names = () => readdir(directory).then((list) => list.sort());
  const tokenCount = () => [...registry.catalog.tokens()].length;

  it("are made by the first start, for their owner alone, with one token each", async () => {
    const files = await prepare();
    expect(files).toEqual({
      service: join(directory, "service.token"),
      admin: join(directory, "admin.token"),
    });
    expect(await names()).toEqual(["admin.token", "service.token"]);
    for (const file of Object.values(files)) expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await scopesOf("service.token")).toBe("register,discover");
    expect(await scopesOf("admin.token")).toBe("admin");
    expect(await read("service.token")).not.toBe(await read("admin.token"));
  });

  it("stay as they are at the next start, and are no new tokens", async () => {
    await prepare();
    const before = [await read("service.token"), await read("admin.token")];
    await restart();
    await prepare();
    expect([await read("service.token"), await read("admin.token")]).toEqual(before);
    expect(tokenCount()).toBe(2);
  });

  it("are adopted by a store that was wiped, so that its clients go on", async () => {
    await prepare();
    const before = await read("service.token");
    await restart(new MemoryStore());
    await prepare();
    expect(await read("service.token")).toBe(before);
    expect(await scopesOf("service.token")).toBe("register,discover");
    expect(await scopesOf("admin.token")).toBe("admin");
  });

  it("with a token that someone put there are adopted at any start", async () => {
    await prepare();
    await restart();
    await writeFile(join(directory, "admin.token"), `${newToken(random).token}\n`);
    await prepare();
    expect(await scopesOf("admin.token")).toBe("admin");
    expect(tokenCount()).toBe(3);
  });

  it("that were taken away later are not made again", async () => {
    await prepare();
    await rm(join(directory, "admin.token"));
    await restart();
    await prepare();
    expect(await names()).toEqual(["service.token"]);
    expect(tokenCount()).toBe(2);
  });

  it("with a revoked token do not bring it back", async () => {
    await prepare();
    const [, id = ""] = (await read("service.token")).split("_");
    await registry.run(revokeToken(id, "another"));
    await restart();
    await prepare();
    expect(await scopesOf("service.token")).toContain("was revoked");
  });

  it.each(["", "\n", "a note", UNKNOWN.slice(0, -1), `${UNKNOWN}\n${UNKNOWN}`])(
    "that hold no token (%j) are left alone, give nobody access, and are warned of",
    async (text) => {
      await prepare();
      await writeFile(join(directory, "admin.token"), text);
      await restart(new MemoryStore());
      await prepare();
      expect(await readFile(join(directory, "admin.token"), "utf8")).toBe(text);
      expect([...registry.catalog.tokens()].map(({ name }) => name)).toEqual(["service"]);
      expect(log.lines).toEqual(
        text.trim() === ""
          ? []
          : [
              {
                level: "warn",
                msg: "pulse.token_file_unusable",
                fields: { path: join(directory, "admin.token") },
              },
            ],
      );
    },
  );

  describe("of a Pulse that shares its store", () => {
    /** The directory of another node on the same store. */
    const elsewhere = () => join(directory, "..", "other", "tokens");
    const prepareElsewhere = () =>
      prepareTokenFiles({ directory: elsewhere(), isShared, registry, random, log });
    beforeEach(() => {
      isShared = true;
    });

    it("are made by its first start, though others have made theirs, and all are good", async () => {
      await prepare();
      const files = await prepareElsewhere();
      expect(tokenCount()).toBe(4);
      const [mine, other] = await Promise.all([
        read("admin.token"),
        readFile(files.admin, "utf8").then((text) => text.trim()),
      ]);
      expect(mine).not.toBe(other);
      for (const token of [mine, other])
        expect(
          verifyToken(`Bearer ${token}`, (id) => registry.catalog.token(id), 0).scopes,
        ).toEqual(["admin"]);
    });

    it("stay as they are at its next start, and what was taken away is not made again", async () => {
      await prepare();
      const before = await read("service.token");
      await rm(join(directory, "admin.token"));
      await restart();
      await prepare();
      expect(await read("service.token")).toBe(before);
      expect(await names()).toEqual(["service.token"]);
      expect(tokenCount()).toBe(2);
    });

    it("are made in a directory that is there and empty, such as a volume", async () => {
      await mkdir(directory, { recursive: true });
      await prepare();
      expect(await names()).toEqual(["admin.token", "service.token"]);
    });

    it("are copied from another node, and then are no new tokens", async () => {
      await prepare();
      await cp(directory, elsewhere(), { recursive: true });
      await prepareElsewhere();
      expect(tokenCount()).toBe(2);
    });
  });

  it("are both there before either counts: a first start that is cut short is made up for", async () => {
    const cutShort: Registry = {
      ...registry,
      async run(command) {
        await registry.run(command);
        throw new Error("killed once the first token was durable");
      },
    };
    await expect(
      prepareTokenFiles({ directory, isShared, registry: cutShort, random, log }),
    ).rejects.toThrow("killed");
    await restart();
    await prepare();
    expect(await scopesOf("service.token")).toBe("register,discover");
    expect(await scopesOf("admin.token")).toBe("admin");
  });
});
