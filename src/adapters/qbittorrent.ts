import { type Adapter, type ClientKind, type ClientTarget, ProbeError } from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { infoHash } from "./info-hash.js";
import { path } from "./json.js";
import { createSyncedLoad, MAX_SYNC_BYTES } from "./qbittorrent-load.js";
import { createQBittorrentSession, notQBittorrent } from "./qbittorrent-session.js";

/** qBittorrent by its Web API. */
function createQBittorrentAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const session = createQBittorrentSession(target, call);
  const synced = createSyncedLoad();
  let downloadDirectory: string | undefined;

  const enter = (signal: AbortSignal) => session.enter(signal, synced.forget);

  async function askDirectory(signal: AbortSignal): Promise<string | undefined> {
    const { status, text } = await session.get("/app/defaultSavePath", signal);
    return status === 200 ? path(text) : undefined;
  }

  async function isThere(hash: string, signal: AbortSignal): Promise<boolean> {
    const { text } = await session.get(`/torrents/info?hashes=${hash}`, signal);
    return text.includes(hash);
  }

  return {
    async probe(signal) {
      const version = await enter(signal);
      const answer = await session.get(`/sync/maindata?rid=${synced.rid}`, signal, MAX_SYNC_BYTES);
      if (answer.status !== 200 || !synced.take(answer.text)) throw notQBittorrent();
      if (synced.isWhole) downloadDirectory = await askDirectory(signal);
      return {
        outcome: "ok",
        message: `qBittorrent ${version} answers`,
        version,
        load: synced.load(),
        ...(downloadDirectory && { downloadDirectory }),
        credentials: session.asksForLogin ? "accepted" : "not-asked",
        ...(session.asksForLogin && session.isKept && { isBySession: true }),
      };
    },
    /** Sessions stay, and with them ours. */
    async changeSecret(next, signal) {
      await enter(signal);
      const body = new URLSearchParams({ json: JSON.stringify({ web_ui_password: next }) });
      const { status } = await session.post("/app/setPreferences", body, signal);
      if (status !== 200)
        throw new ProbeError("unreachable", `it answers HTTP ${status} to a new password`);
    },
    /** It tells no id, so a torrent is one that we can tell the id of. */
    async add({ fileName, content, category, directory }, signal) {
      const hash = infoHash(content);
      if (hash === undefined) throw notVersion1();
      await enter(signal);
      const form = new FormData();
      form.set("torrents", new Blob([content], { type: "application/x-bittorrent" }), fileName);
      if (category) form.set("category", category);
      if (directory) {
        form.set("savepath", directory);
        form.set("autoTMM", "false"); // or its category says where
      }
      form.set("paused", "false"); // until 4.6
      form.set("stopped", "false"); // from 5.0 on
      const { status, text } = await session.post("/torrents/add", form, signal);
      const isTaken = status >= 200 && status < 300 && !text.startsWith("Fails");
      // It says no to what it has already, as to what it cannot read.
      if (!isTaken && !(await isThere(hash, signal))) throw notTaken(status);
      return hash;
    },
  };
}

export const QBITTORRENT: ClientKind = {
  createAdapter: createQBittorrentAdapter,
  async recognise(url, call, signal) {
    const { status, text } = await call(`${url}/api/v2/app/version`, {}, signal);
    // Who is not let in gets one word; 5.x says nothing at all where it bans.
    return status === 200 ? /^v\d+\.\d/.test(text) : status === 403 && text === "Forbidden";
  },
};

function notVersion1(): ProbeError {
  return new ProbeError(
    "unreachable",
    "that is no torrent of version 1, the only ones that are added to a qBittorrent: give such a one",
  );
}

function notTaken(status: number): ProbeError {
  return new ProbeError(
    "unreachable",
    `qBittorrent does not take the torrent (HTTP ${status}): check that the file is whole`,
  );
}
