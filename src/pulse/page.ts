import { invalidField } from "../core/errors.js";
import { sizeOf } from "./record-size.js";

const MAX_PAGE_SIZE = 1_000;
/** Characters of a page, of at most three bytes each: clients refuse messages over 4 MiB. */
const MAX_PAGE_TEXT = 1_024 * 1_024;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Empty: this was the last page. */
  readonly nextPageToken: string;
}

/** The order of a list that has only one. */
const ONLY_ORDER = "1";

/**
 * One page of items in the order of their keys: as many as were asked for, or
 * fewer if they are so large that a client could not take them. The token is the last key that
 * was sent, so that nothing is skipped or doubled when items come and go between
 * two pages.
 * @param keyOf is asked often, and must say the same of an item each time
 * @param order by what the keys are; left out: by the only thing, or the first
 * @throws DomainError of kind `invalid` on `page_size` or `page_token`.
 */
export function pageOf<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  /** The records, which never change, that an item is made of. */
  recordsOf: (item: Item) => readonly object[],
  request: { readonly pageSize: number; readonly pageToken: string },
  order = ONLY_ORDER,
): Page<Item> {
  if (request.pageSize > MAX_PAGE_SIZE)
    throw invalidField("page_size", `must be at most ${MAX_PAGE_SIZE}; 0 means ${MAX_PAGE_SIZE}`);
  const size = request.pageSize || MAX_PAGE_SIZE;
  const sorted = items.length > 1 ? [...items].sort((a, b) => compare(keyOf(a), keyOf(b))) : items;
  const after = readPageToken(request.pageToken, order);
  const rest = after === undefined ? sorted : sorted.filter((item) => keyOf(item) > after);
  const page = rest.slice(0, fitting(rest, size, recordsOf));
  const last = page.at(-1);
  const isLast = last === undefined || rest.length === page.length;
  return { items: page, nextPageToken: isLast ? "" : writePageToken(keyOf(last), order) };
}

/** How many of the first `size` items fit on a page; at least one. */
function fitting<Item>(
  items: readonly Item[],
  size: number,
  recordsOf: (item: Item) => readonly object[],
): number {
  let text = 0;
  for (const [i, item] of items.slice(0, size).entries()) {
    for (const record of recordsOf(item)) text += sizeOf(record);
    if (text > MAX_PAGE_TEXT && i > 0) return i;
  }
  return size;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The order tells a token from that of another order, and from any other text. */
function writePageToken(key: string, order: string): string {
  return Buffer.from(`${order}:${key}`).toString("base64url");
}

function readPageToken(token: string, order: string): string | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString();
  const key = text.slice(order.length + 1);
  if (writePageToken(key, order) === token) return key;
  throw invalidField(
    "page_token",
    "must be a next_page_token of this method, unchanged, with the same order",
  );
}
