import { type Adapter, type ClientKind, type ClientTarget, ProbeError } from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { count, isObject, path, text } from "./json.js";
import { createNzbgetRpc, notNzbget, recogniseNzbget } from "./nzbget-rpc.js";
import { requireVersion } from "./version.js";

/** The first version that says of each download what it does, and takes one as it is given here. */
const MIN_VERSION = "13.0";
/** About 20,000 downloads: it tells all it knows of each, and has no shorter list. */
const MAX_LIST_BYTES = 32 * 1024 * 1024;
/** Some dozen options for each news server, feed, category and script. */
const MAX_CONFIG_BYTES = 1024 * 1024;

/** Being fetched: what comes after that keeps no other from being. */
const ACTIVE = /^(DOWNLOADING|FETCHING)$/;
const QUEUED = /^QUEUED$/;

/** What cannot change while it runs: an option that does makes it start anew. */
interface Facts {
  readonly startedAtS: number;
  readonly version: string;
  readonly downloadDirectory: string | undefined;
}

function createNzbgetAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const rpc = createNzbgetRpc(target, call);
  let facts: Facts | undefined;

  async function factsSince(startedAtS: number, signal: AbortSignal): Promise<Facts> {
    // Its two clocks tick apart.
    if (facts && Math.abs(facts.startedAtS - startedAtS) <= 2) return facts;
    const version = text(await rpc.ask("version", [], signal));
    if (version === undefined || !/^\d+\.\d/.test(version)) throw notNzbget();
    requireVersion("NZBGet", version, MIN_VERSION);
    // Among the options are secrets: nothing of them is kept but the directory.
    const options = await rpc.ask("config", [], signal, MAX_CONFIG_BYTES);
    if (!Array.isArray(options)) throw notNzbget();
    const option = options.find((each) => isObject(each) && each.Name === "DestDir");
    facts = { startedAtS, version, downloadDirectory: path(option?.Value) };
    return facts;
  }

  async function countDownloads(signal: AbortSignal): Promise<(status: RegExp) => number> {
    const groups = await rpc.ask("listgroups", [0], signal, MAX_LIST_BYTES);
    if (!Array.isArray(groups)) throw notNzbget();
    return (status) =>
      groups.filter((group) => isObject(group) && status.test(String(group.Status))).length;
  }

  return {
    async probe(signal) {
      const status = await rpc.ask("status", [], signal);
      if (!isObject(status)) throw notNzbget();
      const startedAtS = Number(status.ServerTime) - Number(status.UpTimeSec);
      const { version, downloadDirectory } = await factsSince(startedAtS, signal);
      const countOf = await countDownloads(signal);
      // Both halves are all ones if it does not know: its directory comes with the first download.
      const freeBytes = Number(status.FreeDiskSpaceHi) * 2 ** 32 + Number(status.FreeDiskSpaceLo);
      return {
        outcome: "ok",
        message: `NZBGet ${version} answers`,
        version,
        load: {
          active: countOf(ACTIVE),
          queued: countOf(QUEUED),
          ...count("freeBytes", freeBytes),
          ...count("downloadBytesPerSecond", status.DownloadRate),
        },
        ...(downloadDirectory && { downloadDirectory }),
        credentials: rpc.asksForLogin ? "accepted" : "not-asked",
      };
    },
    /** What it has already, or cannot read, it takes as well, and tells so in its history. */
    async add({ fileName, content, category = "", directory }, signal) {
      if (directory) throw noDirectory();
      const nzb = Buffer.from(content).toString("base64");
      // Its priority, whether on top and whether paused; then how duplicates are found.
      const params = [fileName, nzb, category, 0, false, false, "", 0, "SCORE"];
      const id = await rpc.ask("append", params, signal);
      if (typeof id !== "number" || id <= 0) throw notTaken();
      return String(id);
    },
  };
}

/** NZBGet 13.0 or newer, by its JSON-RPC. */
export const NZBGET: ClientKind = {
  createAdapter: createNzbgetAdapter,
  recognise: recogniseNzbget,
};

function noDirectory(): ProbeError {
  return new ProbeError(
    "unreachable",
    "NZBGet puts no single download elsewhere: leave its directory out, or give a category that has that directory",
  );
}

function notTaken(): ProbeError {
  return new ProbeError("unreachable", "NZBGet does not take the file: check that it is an NZB");
}
