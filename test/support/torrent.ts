import { createHash } from "node:crypto";
import { bencode } from "./bencode.js";

const PIECE_BYTES = 256 * 1024;

export interface Torrent {
  /** What is in the .torrent file. */
  readonly content: Buffer;
  /** By which peers and trackers know it: 20 bytes. */
  readonly infoHash: Buffer;
}

/** A torrent (version 1) of one file, for peers of that tracker alone. */
export function createTorrent(name: string, file: Uint8Array, announceUrl: string): Torrent {
  const hashes: Buffer[] = [];
  for (let start = 0; start < file.length; start += PIECE_BYTES)
    hashes.push(sha1(file.subarray(start, start + PIECE_BYTES)));
  const info = {
    length: file.length,
    name,
    "piece length": PIECE_BYTES,
    pieces: Buffer.concat(hashes),
    private: 1,
  };
  return {
    content: bencode({ announce: announceUrl, info }),
    infoHash: sha1(bencode(info)),
  };
}

function sha1(data: Uint8Array): Buffer {
  return createHash("sha1").update(data).digest();
}
