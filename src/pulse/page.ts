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

/**
 * One page of items in the order of their keys: as many as were asked for, or
 * fewer if they are so large that a client could not take them. The token is the last key that
 * was sent, so that nothing is skipped or doubled when items come and go between
 * two pages.
 * @throws DomainError of kind `invalid` on `page_size` or `page_token`.
 */
export function pageOf<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  /** The records, which never change, that an item is made of. */
  recordsOf: (item: Item) => readonly object[],
  request: { readonly pageSize: number; readonly pageToken: string },
): Page<Item> {
  if (request.pageSize > MAX_PAGE_SIZE)
    throw invalidField("page_size", `must be at most ${MAX_PAGE_SIZE}; 0 means ${MAX_PAGE_SIZE}`);
  const size = request.pageSize || MAX_PAGE_SIZE;
  const sorted = items.length > 1 ? [...items].sort((a, b) => compare(keyOf(a), keyOf(b))) : items;
  const after = readPageToken(request.pageToken);
  const rest = after === undefined ? sorted : sorted.filter((item) => keyOf(item) > after);
  const page = rest.slice(0, fitting(rest, size, recordsOf));
  const last = page.at(-1);
  const isLast = last === undefined || rest.length === page.length;
  return { items: page, nextPageToken: isLast ? "" : writePageToken(keyOf(last)) };
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

/** The prefix is a version, and tells a token from any other text. */
function writePageToken(key: string): string {
  return Buffer.from(`1:${key}`).toString("base64url");
}

function readPageToken(token: string): string | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString();
  if (!text.startsWith("1:") || writePageToken(text.slice(2)) !== token)
    throw invalidField("page_token", "must be a next_page_token of this method, unchanged");
  return text.slice(2);
}
