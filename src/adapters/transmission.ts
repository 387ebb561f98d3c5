import { type Adapter, type ClientKind, type ClientTarget, ProbeError } from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { count, isObject, path, text } from "./json.js";
import {
  createTransmissionRpc,
  notTransmission,
  recogniseTransmission,
} from "./transmission-rpc.js";
import { requireVersion } from "./version.js";

/** The first version that tells a list as a table, and knows labels. */
const MIN_VERSION = "3.0";
/** About 200,000 torrents, of which it tells one digit each. */
const MAX_LIST_BYTES = 1024 * 1024;

/** What a torrent does, by Transmission's number. */
const QUEUED = 3;
const DOWNLOADING = 4;

/** What is asked once in a session. */
interface Facts {
  readonly sessionId: string | undefined;
  readonly version: string;
  readonly downloadDirectory: string | undefined;
}

function createTransmissionAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const rpc = createTransmissionRpc(target, call);
  let facts: Facts | undefined;

  async function factsOfSession(signal: AbortSignal): Promise<Facts> {
    if (facts && facts.sessionId === rpc.sessionId) return facts;
    const fields = ["version", "download-dir"];
    const { arguments: answer } = await rpc.ask("session-get", { fields }, signal);
    // As in `3.00 (bb6b5a062e)`.
    const version = text(String(answer.version).split(" ")[0]);
    if (version === undefined || !/^\d+\.\d/.test(version)) throw notTransmission();
    requireVersion("Transmission", version, MIN_VERSION);
    facts = { sessionId: rpc.sessionId, version, downloadDirectory: path(answer["download-dir"]) };
    return facts;
  }

  async function countTorrents(signal: AbortSignal): Promise<(status: number) => number> {
    // A table, for a list of objects would be four times as long.
    const args = { fields: ["status"], format: "table" };
    const { torrents } = (await rpc.ask("torrent-get", args, signal, MAX_LIST_BYTES)).arguments;
    if (!Array.isArray(torrents)) throw notTransmission();
    return (status) => torrents.filter((row) => Array.isArray(row) && row[0] === status).length;
  }

  return {
    async probe(signal) {
      const { arguments: stats } = await rpc.ask("session-stats", {}, signal);
      const { version, downloadDirectory } = await factsOfSession(signal);
      const countOf = await countTorrents(signal);
      const space = await rpc.ask("free-space", { path: downloadDirectory }, signal);
      return {
        outcome: "ok",
        message: `Transmission ${version} answers`,
        version,
        load: {
          active: countOf(DOWNLOADING),
          queued: countOf(QUEUED),
          ...count("freeBytes", space.arguments["size-bytes"]), // -1: no such directory
          ...count("downloadBytesPerSecond", stats.downloadSpeed),
          ...count("uploadBytesPerSecond", stats.uploadSpeed),
        },
        ...(downloadDirectory && { downloadDirectory }),
        credentials: rpc.asksForLogin ? "accepted" : "not-asked",
      };
    },
    async add({ content, category, directory }, signal) {
      const reply = await rpc.ask(
        "torrent-add",
        {
          metainfo: Buffer.from(content).toString("base64"),
          ...(directory && { "download-dir": directory }),
        },
        signal,
      );
      const { "torrent-added": added, "torrent-duplicate": known } = reply.arguments;
      const torrent = added ?? known;
      const id = isObject(torrent) ? text(torrent.hashString) : undefined;
      if (!reply.isSuccess || id === undefined) throw notTaken();
      // By itself, for 3.00 does not look at the labels of what it is given.
      if (category && added) {
        const { isSuccess } = await rpc.ask(
          "torrent-set",
          { ids: [id], labels: [category] },
          signal,
        );
        if (!isSuccess) throw notLabelled();
      }
      return id;
    },
  };
}

/** Transmission 3.00 or newer, by its RPC. */
export const TRANSMISSION: ClientKind = {
  createAdapter: createTransmissionAdapter,
  recognise: recogniseTransmission,
};

function notTaken(): ProbeError {
  return new ProbeError(
    "unreachable",
    "Transmission does not take the torrent: check that the file is whole, and the directory absolute and on its disk",
  );
}

function notLabelled(): ProbeError {
  return new ProbeError(
    "unreachable",
    "Transmission took the torrent, but not its category as a label: leave out commas",
  );
}
