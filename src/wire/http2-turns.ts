import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";
import { socketOf } from "./http2-socket.js";

/** Node has no other way to leave what has come in the network for the moment. */
interface ReadSocket extends Socket {
  readonly _handle?: { readStop(): void; readStart(): void } | null;
}

/**
 * Lets each connection begin some `maxCalls` calls, and the rest of what was read with
 * them, before others have their turn: Node would read up to 2 MB of one connection at
 * once, which are 20,000 calls, and a second or two. `rememberSockets` comes first.
 */
export function takeTurns(http2: Http2Server, maxCalls: number): void {
  let turn = 0;
  const stopped: ReadSocket[] = [];
  let isTurnCounted = false;

  function endTurn(): void {
    isTurnCounted = false;
    turn += 1;
    for (const socket of stopped.splice(0)) socket._handle?.readStart();
  }

  http2.on("session", (session) => {
    const socket: ReadSocket = socketOf(session);
    let calls = 0;
    let countedIn = turn;
    session.on("stream", () => {
      if (!isTurnCounted) {
        isTurnCounted = true;
        setImmediate(endTurn); // once all have been read from, whoever was to read
      }
      if (countedIn !== turn) {
        countedIn = turn;
        calls = 0;
      }
      calls += 1;
      if (calls !== maxCalls || !socket._handle) return;
      socket._handle.readStop();
      stopped.push(socket);
    });
  });
}
