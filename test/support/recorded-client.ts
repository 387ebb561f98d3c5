import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/lib/random.js";

/**
 * What a real client says to the server at `port`, byte by byte: `use` gets another port,
 * from which all is passed on until `use` resolves.
 */
export async function recordClient(
  port: number,
  use: (tappedPort: number) => Promise<void>,
): Promise<Buffer> {
  const said: Buffer[] = [];
  const sockets: Socket[] = [];
  const tap = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    client.on("data", (part: Buffer) => said.push(part));
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) {
      sockets.push(socket);
      socket.on("error", () => {}); // the pipe ends the other one
    }
  });
  tap.listen(0, "127.0.0.1");
  await once(tap, "listening");
  try {
    await use((tap.address() as AddressInfo).port);
  } finally {
    tap.close();
    for (const socket of sockets) socket.destroy();
  }
  return Buffer.concat(said);
}

/** HTTP/2's preface is most of them. */
const FIRST_BYTES = 40;

/**
 * Says to the server at `port` what a client has said, up to any byte of it, and exits up
 * to 30 ms later: with a FIN, as when a process ends, or with a reset. It may have read
 * what it was told, or none of it.
 */
export async function sayAndExit(port: number, said: Buffer, random: Random): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}); // the other side may be the first
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(said.subarray(0, lengthToSay(said, random)));
  if (random.next() < 0.5) socket.resume();
  await sleep(random.next() * 30);
  if (random.next() < 0.5) socket.destroy();
  else socket.resetAndDestroy();
  await closed;
}

/** Any; but often all, to exit in the answer, or hardly enough to tell which protocol it is. */
function lengthToSay(said: Buffer, random: Random): number {
  const kind = random.next();
  if (kind < 0.25) return said.length;
  return Math.floor(random.next() * (kind < 0.5 ? FIRST_BYTES : said.length));
}
