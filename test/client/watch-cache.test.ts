import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WatchCache, type WatchCacheOptions } from "../../src/client/watch-cache.js";
import { eventually } from "../support/eventually.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";

const TOKEN = "t0ken-t0ken-t0ken";
const SECRET = "pw-of-a";
/** What the release before wrote of it, with that token and at that place. */
const OLD_CACHE = "1.busNR5OqzVqEaFUe-Ohj8ovtwwK1Cn8PpTdHw79PxEV0x7g";

let directory: string;
let file: string;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-watch-"));
  file = join(directory, "state", "clients.cache");
  clock = new ManualClock();
  log = recordingLog();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const cacheOf = (options: Partial<WatchCacheOptions> = {}) =>
  new WatchCache({
    file,
    token: TOKEN,
    place: "here",
    clock,
    random: seededRandom(),
    log,
    ...options,
  });
const content = (text: string) => () => Buffer.from(text);
const read = (cache = cacheOf()) =>
  cache.read((bytes) => Buffer.from(bytes).toString(), new AbortController().signal);
const lines = () => log.lines.map(({ level, msg }) => `${level} ${msg}`);

async function save(text: string, options: Partial<WatchCacheOptions> = {}): Promise<void> {
  const cache = cacheOf(options);
  cache.write(content(text));
  await cache.close();
}

describe("what was written", () => {
  it("is read again, whole, in a file of mode 0600 that shows nothing", async () => {
    await save(SECRET);
    expect(log.lines).toEqual([]);
    expect(await read()).toBe(SECRET);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const bytes = await readFile(file, "utf8");
    for (const encoded of [SECRET, Buffer.from(SECRET).toString("base64url"), TOKEN])
      expect(bytes).not.toContain(encoded);
    expect(lines()).toEqual(["info beginning with the last known good"]);
    expect(clock.pending).toBe(0);
  });

  it("is also read as the release before has sealed it", async () => {
    await mkdir(join(directory, "state"));
    await writeFile(file, OLD_CACHE);
    expect(await read()).toBe(SECRET);
  });

  it.each<[string, Partial<WatchCacheOptions>]>([
    ["token", { token: "another-token" }],
    ["place", { place: "there" }],
  ])("opens with no other %s: a line in the log, and nothing to go by", async (_, options) => {
    await save(SECRET);
    expect(await read(cacheOf(options))).toBeUndefined();
    expect(lines()).toEqual([
      "warn the last known good is damaged, or of another token, Pulse or filter: going on without",
    ]);
    expect(log.lines[0]?.fields).toMatchObject({ file });
  });

  it.each<[string, (text: string) => string]>([
    ["cut", (text) => text.slice(0, -9)],
    ["changed", (text) => text.replace(/.(?=.{9}$)/, (c) => (c === "A" ? "B" : "A"))],
    ["emptied", () => ""],
    ["replaced by garbage", () => "\0\u{fffd}garbage"],
  ])("and then %s is not read", async (_, change) => {
    await save(SECRET);
    await writeFile(file, change(await readFile(file, "utf8")));
    expect(await read()).toBeUndefined();
    expect(lines()).toHaveLength(1);
  });

  it("is not read if it decodes to nothing, and the log does not quote it", async () => {
    await save(SECRET);
    const decode = () => {
      throw new Error("this is no complete snapshot");
    };
    expect(await cacheOf().read(decode, new AbortController().signal)).toBeUndefined();
    expect(lines()).toEqual(["warn the last known good cannot be read: going on without"]);
    expect(JSON.stringify(log.lines)).not.toContain(SECRET);
  });
});

describe("reading", () => {
  it("finds nothing at the first start, which is no fault", async () => {
    expect(await read()).toBeUndefined();
    expect(lines()).toEqual(["info there is no last known good yet"]);
  });

  it("does without a file that is none", async () => {
    await mkdir(file, { recursive: true });
    expect(await read()).toBeUndefined();
    expect(lines()).toEqual(["warn the last known good cannot be read: going on without"]);
  });

  it("does without a token that cannot be had, and waits 10 s at most for one", async () => {
    await save(SECRET);
    const none = () => Promise.reject(new Error("no file"));
    expect(await read(cacheOf({ token: none }))).toBeUndefined();
    expect(lines()).toHaveLength(1);
    const reading = read(cacheOf({ token: () => new Promise(() => {}) }));
    await clock.advance(10_000);
    expect(await reading).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("ends when the watch does", async () => {
    await save(SECRET);
    const watch = new AbortController();
    const cache = cacheOf({ token: () => new Promise(() => {}) });
    const reading = cache.read((bytes) => bytes, watch.signal);
    watch.abort();
    expect(await reading).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});

describe("writing", () => {
  it("is soon, at most once a second, and always of the newest", async () => {
    const made: string[] = [];
    const cache = cacheOf();
    const write = (text: string) =>
      cache.write(() => {
        made.push(text);
        return Buffer.from(text);
      });
    write("1");
    write("2");
    await clock.advance(0);
    await eventually(async () => expect(await read()).toBe("2"));
    await settle();
    for (const text of ["3", "4", "5"]) write(text);
    await clock.advance(999);
    expect(made).toEqual(["2"]);
    await clock.advance(1);
    await eventually(async () => expect(await read()).toBe("5"));
    expect(made).toEqual(["2", "5"]);
    await cache.close();
    expect(made).toEqual(["2", "5"]);
    expect(await readdir(join(directory, "state"))).toEqual(["clients.cache"]);
  });

  it("comes once more at the end, if something is unwritten, also during a write", async () => {
    const cache = cacheOf();
    cache.write(content("1"));
    await clock.advance(0);
    cache.write(content("2"));
    await cache.close();
    expect(await read()).toBe("2");
    expect(clock.pending).toBe(0);
  });

  it("that fails is said once, until one has gone well again, and does no harm", async () => {
    await writeFile(join(directory, "state"), "in the way");
    let asked = 0;
    const token = () => {
      asked++;
      return TOKEN;
    };
    const cache = cacheOf({ token });
    for (const times of [1, 2]) {
      cache.write(content("1"));
      await eventually(async () => {
        await clock.advance(1_000); // the interval begins with the end of the last write
        expect(asked).toBe(times);
      });
      await settle(20);
    }
    expect(lines()).toEqual(["warn the last known good cannot be written"]);
    await rm(join(directory, "state"));
    cache.write(content("2"));
    await cache.close();
    expect(lines()).toHaveLength(1);
    expect(await read()).toBe("2");
  });

  it("asks for the token each time: the file opens with the newest", async () => {
    let token = "old-token";
    const cache = cacheOf({ token: () => token });
    cache.write(content("1"));
    await clock.advance(0);
    await eventually(async () => expect(await read(cacheOf({ token }))).toBe("1"));
    token = "new-token";
    cache.write(content("2"));
    await cache.close();
    expect(await read(cacheOf({ token: "new-token" }))).toBe("2");
  });

  it("does not keep the end waiting for more than 2 s", async () => {
    const cache = cacheOf({ token: () => new Promise(() => {}) });
    cache.write(content("1"));
    let isClosed = false;
    void cache.close().then(() => {
      isClosed = true;
    });
    await clock.advance(1_999);
    expect(isClosed).toBe(false);
    await clock.advance(1);
    expect([isClosed, clock.pending]).toEqual([true, 0]);
  });
});
