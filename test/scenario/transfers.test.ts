import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  REAL_CLIENTS,
  type RealClient,
  type RealClientCase,
  type RealKind,
} from "../support/download-clients/real-clients.js";
import { eventually } from "../support/eventually.js";
import { freePort } from "../support/free-port.js";
import { startFrontingHaul } from "../support/fronting-haul.js";
import { startManager } from "../support/manager.js";
import { type AddedFile, addByEntry } from "../support/manager-calls.js";
import { startNntpServer } from "../support/nntp-server.js";
import { createPost } from "../support/nzb.js";
import { Stack } from "../support/stack.js";
import { createTorrent } from "../support/torrent.js";
import { startTracker } from "../support/tracker.js";

// A manager has a download client fetch 20 MB, with nothing but what Pulse told it.

const NAME = "box";
const TEST_TIMEOUT = { timeout: 120_000 };
const FETCHED_MS = 60_000;
const FILE_NAME = "A.Film.of.Ours.2026.bin";

/** Who seeds for whom. */
const TORRENT_PAIRS: readonly (readonly [RealKind, RealKind])[] = [
  ["deluge", "qbittorrent"],
  ["deluge", "transmission"],
  ["qbittorrent", "deluge"],
  ["qbittorrent", "aria2"],
];

const newFile = () => randomBytes(20_000_000);
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

function caseOf(kind: RealKind): RealClientCase {
  const found = REAL_CLIENTS.find((real) => real.kind === kind);
  if (!found) throw new Error(`there is no ${kind}`);
  return found;
}

/** The manager finds the client at Pulse and gives it the file. */
async function addByManager(client: RealClient, file: AddedFile): Promise<void> {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await stack.startPulse();
  const manager = startManager(stack);
  await startFrontingHaul(stack, NAME, client);
  const entry = await manager.entryIs(NAME, "ONLINE", 20_000);
  await addByEntry(entry, file);
}

/** Waits until the file is there, wherever below its downloads the client puts it. */
async function hasFetched({ downloads }: RealClient, sum: string): Promise<void> {
  await eventually(async () => {
    const files = await readdir(downloads, { recursive: true });
    const file = files.find((each) => each.endsWith(FILE_NAME));
    if (!file) throw new Error(`${FILE_NAME} is not there, but ${files.join(", ")}`);
    const found = sha256(await readFile(join(downloads, file)));
    if (found !== sum) await sleep(250); // it was 20 MB to read
    expect(found).toBe(sum);
  }, FETCHED_MS);
}

describe("a torrent", TEST_TIMEOUT, () => {
  for (const [from, to] of TORRENT_PAIRS) {
    const [seeding, leeching] = [caseOf(from), caseOf(to)];
    it.skipIf(seeding.isMissing || leeching.isMissing)(
      `comes from ${seeding.name} to ${leeching.name}`,
      async () => {
        const tracker = await startTracker();
        onTestFinished(() => tracker.close());
        const file = newFile();
        const { content } = createTorrent(FILE_NAME, file, tracker.announceUrl);
        const torrent = { name: "film.torrent", content };
        const [seeder, leecher] = await Promise.all([
          seeding.start({ peers: { host: "127.0.0.2", port: await freePort() } }),
          leeching.start({ peers: { host: "127.0.0.3", port: await freePort() } }),
        ]);
        await addByManager(leecher, torrent);
        // Who announces later calls whom the tracker names; Transmission never calls loopback.
        await eventually(() => expect(tracker.peers).toHaveLength(1), 30_000);
        await writeFile(join(seeder.downloads, FILE_NAME), file);
        await addByEntry({ ...seeder, useSsl: false, urlBase: "" }, torrent);
        await hasFetched(leecher, sha256(file));
      },
    );
  }
});

describe("a file from Usenet", TEST_TIMEOUT, () => {
  for (const kind of ["nzbget", "sabnzbd"] as const) {
    const fetching = caseOf(kind);
    it.skipIf(fetching.isMissing)(`comes to ${fetching.name}`, async () => {
      const file = newFile();
      const { nzb, articles } = createPost(FILE_NAME, file);
      const server = await startNntpServer(articles);
      onTestFinished(() => server.close());
      const client = await fetching.start({ usenet: server });
      await addByManager(client, { name: "A.Film.of.Ours.2026.nzb", content: nzb });
      await hasFetched(client, sha256(file));
      expect(server.articlesSent).toBe(articles.size);
    });
  }
});
