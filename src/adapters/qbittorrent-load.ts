import type { ClientLoad } from "./adapter.js";
import { count, isObject, parseJson } from "./json.js";

/** About 20,000 torrents in full; an answer is that long only once. */
export const MAX_SYNC_BYTES = 32 * 1024 * 1024;

/** States in which a torrent is being fetched, stalled for want of peers or not. */
const ACTIVE = /^(downloading|forcedDL|stalledDL|metaDL|forcedMetaDL|checkingDL|allocating)$/;
const QUEUED = "queuedDL";

/** The load of a qBittorrent, kept up to date from the changes that it tells. */
export interface SyncedLoad {
  /** What to ask with: the number of the last answer; 0 asks for everything. */
  readonly rid: number;
  /** Takes an answer of sync/maindata; false if it is none. */
  take(answer: string): boolean;
  /** Whether the last answer was everything: the first of a session, or of a new start. */
  readonly isWhole: boolean;
  /** Begins anew, as a new session does. */
  forget(): void;
  load(): ClientLoad;
}

/**
 * Only what has changed is asked for: a full answer grows with the torrents and
 * would be a burden every few seconds.
 */
export function createSyncedLoad(): SyncedLoad {
  let rid = 0;
  let isWhole = false;
  const states = new Map<string, string>();
  let server: Record<string, unknown> = {};

  function forget(): void {
    rid = 0;
    states.clear();
    server = {};
  }

  const countOf = (isWanted: (state: string) => boolean) =>
    [...states.values()].filter(isWanted).length;

  return {
    get rid() {
      return rid;
    },
    get isWhole() {
      return isWhole;
    },
    take(answer) {
      const data = parseJson(answer);
      if (!isObject(data) || !Number.isSafeInteger(data.rid)) return false;
      isWhole = data.full_update === true;
      if (isWhole) forget();
      rid = Number(data.rid);
      if (isObject(data.server_state)) server = { ...server, ...data.server_state };
      if (isObject(data.torrents))
        for (const [hash, torrent] of Object.entries(data.torrents))
          if (isObject(torrent) && typeof torrent.state === "string")
            states.set(hash, torrent.state);
      if (Array.isArray(data.torrents_removed))
        for (const hash of data.torrents_removed) states.delete(String(hash));
      return true;
    },
    forget,
    load: () => ({
      active: countOf((state) => ACTIVE.test(state)),
      queued: countOf((state) => state === QUEUED),
      // -1 until it has looked.
      ...count("freeBytes", server.free_space_on_disk),
      ...count("downloadBytesPerSecond", server.dl_info_speed),
      ...count("uploadBytesPerSecond", server.up_info_speed),
    }),
  };
}
