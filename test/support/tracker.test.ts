import { createHash } from "node:crypto";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { bencode } from "./bencode.js";
import { createTorrent } from "./torrent.js";
import { startTracker } from "./tracker.js";

describe("bencode", () => {
  it("writes keys in order, and lengths in bytes", () => {
    expect(bencode({ b: ["ä", 0], a: -1, c: {} }).toString()).toBe("d1:ai-1e1:bl2:äi0ee1:cdee");
  });
});

describe("a torrent", () => {
  it("has a hash for each piece, the last of which is shorter", () => {
    const file = Buffer.alloc(256 * 1024 + 1, "x");
    const { content, infoHash } = createTorrent("x.bin", file, "http://127.0.0.1:1/announce");
    const sha1 = (data: Uint8Array) => createHash("sha1").update(data).digest();
    const info = Buffer.concat([
      Buffer.from("d6:lengthi262145e4:name5:x.bin12:piece lengthi262144e6:pieces40:"),
      sha1(file.subarray(0, 262_144)),
      sha1(Buffer.from("x")),
      Buffer.from("7:privatei1ee"),
    ]);
    const before = Buffer.from("d8:announce27:http://127.0.0.1:1/announce4:info");
    expect(content).toEqual(Buffer.concat([before, info, Buffer.from("e")]));
    expect(infoHash).toEqual(sha1(info));
  });
});

describe("the tracker", () => {
  const HASH = Buffer.from([...Array(19).keys(), 0xff]);

  async function start() {
    const tracker = await startTracker();
    onTestFinished(() => tracker.close());
    const { port, pathname } = new URL(tracker.announceUrl);
    /** From an address of this host, since peers are known by theirs. */
    const announce = (host: string, query: string) =>
      new Promise<Buffer>((resolve, reject) => {
        const chunks: Buffer[] = [];
        connect({ port: Number(port), host: "127.0.0.1", localAddress: host })
          .on("data", (chunk) => chunks.push(chunk))
          .once("error", reject)
          .once("end", () => {
            const answer = Buffer.concat(chunks);
            resolve(answer.subarray(answer.indexOf("\r\n\r\n") + 4));
          })
          .end(`GET ${pathname}?${query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      });
    const infoHash = [...HASH].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const query = (port: number, more = "") => `info_hash=${infoHash}&port=${port}${more}`;
    return { tracker, announce, query };
  }
  const answer = (...peers: number[]) =>
    bencode({ interval: 2, "min interval": 2, peers: Buffer.from(peers) });

  it("tells a peer of the others", async () => {
    const { tracker, announce, query } = await start();
    expect(await announce("127.0.0.2", query(6881))).toEqual(answer());
    expect(await announce("127.0.0.3", query(257))).toEqual(answer(127, 0, 0, 2, 26, 225));
    expect(await announce("127.0.0.2", query(6881))).toEqual(answer(127, 0, 0, 3, 1, 1));
    expect(tracker.peers).toEqual(["127.0.0.2:6881", "127.0.0.3:257"]);
  });

  it("forgets one that stops", async () => {
    const { tracker, announce, query } = await start();
    await announce("127.0.0.2", query(6881));
    await announce("127.0.0.2", query(6881, "&event=stopped"));
    expect(tracker.peers).toEqual([]);
  });

  it("says what is no announce", async () => {
    const { announce } = await start();
    const failure = bencode({ "failure reason": "this is no announce" });
    expect(await announce("127.0.0.2", "info_hash=short&port=1")).toEqual(failure);
  });
});
