import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { bencode } from "./bencode.js";

/** A BitTorrent tracker of this process, on loopback. */
export interface Tracker {
  /** For a torrent's `announce`. */
  readonly announceUrl: string;
  /** Addresses, as `127.0.0.2:6881`, of those that share a torrent. */
  readonly peers: readonly string[];
  close(): void;
}

/** How soon peers ask again: a leecher that came first has to find its seeder. */
const INTERVAL_S = 2;

/** Tells every peer of a torrent about the others, by the addresses from which they announce. */
export async function startTracker(): Promise<Tracker> {
  const torrents = new Map<string, Set<string>>();
  const server = createServer((request, response) => {
    const [path = "", query = ""] = (request.url ?? "").split("?");
    const infoHash = bytesParameter(query, "info_hash");
    const port = Number(bytesParameter(query, "port"));
    if (path !== "/announce" || infoHash?.length !== 20 || !(port > 0)) {
      response.end(bencode({ "failure reason": "this is no announce" }));
      return;
    }
    const peers = torrents.get(infoHash.toString("hex")) ?? new Set();
    torrents.set(infoHash.toString("hex"), peers);
    const self = `${request.socket.remoteAddress}:${port}`;
    if (`${bytesParameter(query, "event")}` === "stopped") peers.delete(self);
    else peers.add(self);
    const others = [...peers].filter((peer) => peer !== self);
    response.end(
      bencode({
        interval: INTERVAL_S,
        "min interval": INTERVAL_S,
        peers: Buffer.concat(others.map(compact)),
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    announceUrl: `http://127.0.0.1:${port}/announce`,
    get peers() {
      return [...torrents.values()].flatMap((peers) => [...peers]);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Six bytes: IPv4 address and port. */
function compact(peer: string): Buffer {
  const [host = "", port] = peer.split(":");
  const bytes = Buffer.from([...host.split(".").map(Number), 0, 0]);
  bytes.writeUInt16BE(Number(port), 4);
  return bytes;
}

/** Percent-encoded bytes, which need not be text. */
function bytesParameter(query: string, name: string): Buffer | undefined {
  const [, value] = new RegExp(`(?:^|&)${name}=([^&]*)`).exec(query) ?? [];
  if (value === undefined) return undefined;
  const latin1 = value.replace(/%([0-9a-f]{2})/gi, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, "latin1");
}
