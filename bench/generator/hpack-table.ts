/** The two tables of HPACK (RFC 7541) that both ends keep: one fixed, one that grows with use. */

export interface Header {
  readonly name: string;
  readonly value: string;
}

/** Appendix A, in order; the name alone where there is no value. */
const STATIC_HEADERS: readonly Header[] = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`
  .trim()
  .split("\n")
  .map((line) => {
    const [name = "", ...value] = line.split(" ");
    return { name, value: value.join(" ") };
  });

const STATIC_SIZE = STATIC_HEADERS.length;
const DEFAULT_CAPACITY = 4_096;
const ENTRY_OVERHEAD = 32;

export class HeaderTable {
  /** Newest first, as the indexes count. */
  readonly #dynamic: Header[] = [];
  #size = 0;
  #capacity = DEFAULT_CAPACITY;

  /** @throws RangeError if no header has this index. */
  at(index: number): Header {
    const header =
      index <= STATIC_SIZE ? STATIC_HEADERS[index - 1] : this.#dynamic[index - STATIC_SIZE - 1];
    if (!header) throw new RangeError(`no header has the index ${index}`);
    return header;
  }

  add(header: Header): void {
    this.#dynamic.unshift(header);
    this.#size += sizeOf(header);
    this.#evict();
  }

  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#evict();
  }

  /** The index of this very header, else one of its name, else 0. */
  find({ name, value }: Header): { readonly index: number; readonly isWhole: boolean } {
    const all = [...STATIC_HEADERS, ...this.#dynamic];
    const whole = all.findIndex((header) => header.name === name && header.value === value);
    if (whole >= 0) return { index: whole + 1, isWhole: true };
    return { index: all.findIndex((header) => header.name === name) + 1, isWhole: false };
  }

  #evict(): void {
    while (this.#size > this.#capacity) {
      const oldest = this.#dynamic.pop();
      if (!oldest) return;
      this.#size -= sizeOf(oldest);
    }
  }
}

function sizeOf({ name, value }: Header): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}
