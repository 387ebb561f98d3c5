import { randomUUID } from "node:crypto";
import { crc32, yencode } from "./yenc.js";

const ARTICLE_BYTES = 700_000;

/** A file as it is posted to Usenet. */
export interface Post {
  /** What is in the .nzb file. */
  readonly nzb: Buffer;
  /** Bodies by message id, which includes its angle brackets. */
  readonly articles: ReadonlyMap<string, Buffer>;
}

/** Posts a file in articles of at most 700,000 bytes. */
export function createPost(name: string, file: Uint8Array): Post {
  const total = Math.ceil(file.length / ARTICLE_BYTES);
  const whole = crc32(file);
  const articles = new Map<string, Buffer>();
  const segments: string[] = [];
  for (let number = 1; number <= total; number++) {
    const start = (number - 1) * ARTICLE_BYTES;
    const part = file.subarray(start, start + ARTICLE_BYTES);
    const id = `${number}.${randomUUID()}@example.test`;
    const body = Buffer.concat([
      line(`=ybegin part=${number} total=${total} line=128 size=${file.length} name=${name}`),
      line(`=ypart begin=${start + 1} end=${start + part.length}`),
      yencode(part),
      line(`=yend size=${part.length} part=${number} pcrc32=${crc32(part)} crc32=${whole}`),
    ]);
    articles.set(`<${id}>`, body);
    segments.push(`<segment bytes="${body.length}" number="${number}">${id}</segment>`);
  }
  return { nzb: Buffer.from(nzbOf(name, segments)), articles };
}

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`);
}

function nzbOf(name: string, segments: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nzb PUBLIC "-//newzBin//DTD NZB 1.1//EN" "http://www.newzbin.com/DTD/nzb/nzb-1.1.dtd">
<nzb xmlns="http://www.newzbin.com/DTD/2003/nzb">
  <file poster="a test" date="${Math.floor(Date.now() / 1_000)}" subject="&quot;${name}&quot; yEnc (1/${segments.length})">
    <groups><group>alt.binaries.test</group></groups>
    <segments>${segments.join("")}</segments>
  </file>
</nzb>
`;
}
