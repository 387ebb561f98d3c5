import type { ClientLoad } from "./adapter.js";
import { count, isObject } from "./json.js";

/** What a job is at that receives data, or would if any came. */
const ACTIVE = ["Checking", "Downloading", "Fetching", "Grabbing"];
const KIB = 1_024;
const GIB = 1_024 ** 3;

/**
 * The load from SABnzbd's `queue` and its first jobs. It fetches one job at a time,
 * though it says "Downloading" of all that nothing holds up; what is fetched and being
 * unpacked is in its queue no more.
 */
export function sabnzbdLoad(queue: Readonly<Record<string, unknown>>): ClientLoad {
  const jobs = Array.isArray(queue.slots) ? queue.slots : [];
  const active = jobs.some((job) => isObject(job) && ACTIVE.includes(String(job.status))) ? 1 : 0;
  const all = count("all", queue.noofslots_total).all;
  return {
    ...(all !== undefined && { active, queued: Math.max(0, all - active) }),
    ...count("freeBytes", free(queue)),
    ...count("downloadBytesPerSecond", times(queue.kbpersec, KIB)),
  };
}

/** A job needs room in two directories: while it is fetched, and for good. */
function free(queue: Readonly<Record<string, unknown>>): number | undefined {
  const rooms = ["1", "2"]
    // A disk of no size is one at which it could not look.
    .filter((which) => times(queue[`diskspacetotal${which}`], GIB))
    .map((which) => times(queue[`diskspace${which}`], GIB))
    .filter((room) => room !== undefined);
  return rooms.length > 0 ? Math.min(...rooms) : undefined;
}

/** So many units, written with two decimals, in whole bytes. */
function times(value: unknown, unit: number): number | undefined {
  return typeof value === "string" && /^\d{1,12}(\.\d{1,4})?$/.test(value)
    ? Math.round(Number(value) * unit)
    : undefined;
}
