import { DownloadClientOrder } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { Load } from "../../gen/pulse/v1/load_pb.js";
import type { ResolvedEntry } from "../core/entry.js";
import { readEnum } from "./convert.js";

/** Which of the entries of a list comes first. */
export type EntryOrder = "name" | "free-space" | "load";

const ORDERS: Readonly<Record<EntryOrder, DownloadClientOrder>> = {
  name: DownloadClientOrder.NAME,
  "free-space": DownloadClientOrder.FREE_SPACE,
  load: DownloadClientOrder.LOAD,
};

/** @throws DomainError of kind `invalid` for a value that is not known. */
export function readEntryOrder(value: DownloadClientOrder, field: string): EntryOrder {
  return readEnum(ORDERS, value, field) ?? "name";
}

/**
 * Makes the texts by which entries have their places in one list: less is earlier, and no
 * two are the same. So a page token that names one says where to go on, whatever has
 * become of its entry.
 */
export function orderKeys(
  order: EntryOrder,
  loadOf: (entry: ResolvedEntry) => Load | undefined,
): (entry: ResolvedEntry) => string {
  if (order === "name") return ({ entry }) => entry.name;
  const placeOf = order === "load" ? loadKey : freeSpaceKey;
  // Each is compared with many.
  const keys = new Map<ResolvedEntry, string>();
  return (resolved) => {
    const known = keys.get(resolved);
    if (known !== undefined) return known;
    const { name, priority } = resolved.entry;
    const key = `${placeOf(loadOf(resolved))} ${digits(priority, 3)} ${name}`;
    keys.set(resolved, key);
    return key;
  };
}

/** After every number. */
const UNKNOWN = "~";
const MAX_UINT64 = 2n ** 64n - 1n;
const UINT64_DIGITS = 20;
/** Of the sum of two uint32. */
const COUNT_DIGITS = 10;

function freeSpaceKey(load: Load | undefined): string {
  const free = load?.freeBytes;
  return free === undefined ? UNKNOWN : digits(MAX_UINT64 - free, UINT64_DIGITS);
}

/** Of one that tells but half of its downloads nobody knows how many it has. */
function loadKey({ active, queued, downloadBytesPerSecond: rate }: Partial<Load> = {}): string {
  if (active === undefined || queued === undefined) return UNKNOWN;
  const count = digits(active + queued, COUNT_DIGITS);
  return `${count} ${rate === undefined ? UNKNOWN : digits(rate, UINT64_DIGITS)}`;
}

function digits(number: number | bigint, length: number): string {
  return String(number).padStart(length, "0");
}
