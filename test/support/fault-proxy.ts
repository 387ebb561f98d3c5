import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Direction,
  type DirectionFaults,
  FaultFlow,
  noFaults,
  READ_GRACE_MS,
} from "./fault-flow.js";

export type { Direction } from "./fault-flow.js";

/**
 * `cut`: the service is gone. `blackhole`: the network is gone. `refuse`: nobody
 * listens any more. Faults of a direction are not a mode.
 */
export type ProxyMode = "open" | "cut" | "blackhole" | "refuse" | "closed";

interface Pair {
  readonly client: Socket;
  /** What the proxy has made for it; none before it may pass for the first time. */
  through: { readonly target: Socket; readonly flows: Record<Direction, FaultFlow> } | undefined;
}

const BOTH: readonly Direction[] = ["to-client", "to-target"];

/**
 * A TCP proxy in the test's process, on a port of 127.0.0.1 that it keeps through
 * every fault. It understands nothing of what passes. Faults add up; `restore` ends
 * them all.
 */
export class FaultProxy {
  readonly #pairs = new Set<Pair>();
  readonly #forgotten = new Set<Pair>();
  readonly #resets = new Set<Promise<void>>();
  readonly #faults: Record<Direction, DirectionFaults> = {
    "to-client": noFaults(),
    "to-target": noFaults(),
  };
  readonly #acceptedAt: number[] = [];
  #mode: ProxyMode = "open";
  #listener: Server | undefined;
  #port = 0;
  #target: { readonly port: number; readonly host: string };

  private constructor(targetPort: number) {
    this.#target = { port: targetPort, host: "127.0.0.1" };
  }

  /** Listens on a free port and passes every connection on to `targetPort` of 127.0.0.1. */
  static async open(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await proxy.#listen();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  /** Connections of clients that are open now, as far as the proxy has passed on their end. */
  get connections(): number {
    let open = 0;
    for (const { client } of this.#pairs) if (!client.closed || client.errored) open += 1;
    return open;
  }

  /** Connections of clients that were ever accepted. */
  get accepted(): number {
    return this.#acceptedAt.length;
  }

  /** When each of them was, by `performance.now()`. */
  get acceptedAt(): readonly number[] {
    return this.#acceptedAt;
  }

  /** Resets every connection, and refuses new ones from when it resolves. */
  async cut(): Promise<void> {
    this.#become("cut");
    this.#stopListening();
    const closed = [...this.#pairs].map(({ client }) => closing(client));
    this.reset();
    await Promise.all(closed);
  }

  /** Refuses new connections; those there are go on as they did. */
  refuse(): void {
    this.#become("refuse");
    this.#stopListening();
  }

  /**
   * From now on nothing passes in either direction, neither bytes nor a close nor a
   * reset. New connections are accepted and hear nothing.
   */
  async blackhole(): Promise<void> {
    this.#become("blackhole");
    for (const pair of this.#pairs) hold(pair);
    await this.#listen();
  }

  /**
   * From now on every byte arrives `ms` later, in order and both ways, and so does the
   * end of a connection. Past 256 KiB on their way the sender has to wait. 0 ends it.
   */
  delay(ms: number): void {
    atLeast("ms", ms, 0);
    for (const direction of BOTH) this.#change(direction, { delayMs: ms });
  }

  /** Each direction of each connection passes no more than that. Infinity ends it. */
  throttle(bytesPerSecond: number): void {
    atLeast("bytesPerSecond", bytesPerSecond, 1);
    for (const direction of BOTH) this.#change(direction, { bytesPerSecond });
  }

  /**
   * Nothing more is read in that direction, or in both, until `restore`, so that the
   * sender cannot go on; neither its end nor its reset is passed on. Nothing is lost.
   */
  pause(direction?: Direction): void {
    for (const each of directions(direction)) this.#change(each, { reading: "paused" });
  }

  /**
   * What comes in that direction, or in both, is thrown away until `restore`, while the
   * sender sees it sent. An end or a reset waits for `restore`. The stream is torn then.
   */
  drop(direction?: Direction): void {
    for (const each of directions(direction)) this.#change(each, { reading: "dropping" });
  }

  /**
   * Each connection, also each new one, is reset once exactly `bytes` more have passed
   * in that direction. A receiver that does not read may miss what is past some 60 kB.
   */
  cutAfter(bytes: number, direction: Direction = "to-client"): void {
    atLeast("bytes", bytes, 0);
    this.#change(direction, { cutAfterBytes: bytes });
    for (const pair of this.#pairs) pair.through?.flows[direction].cutAfter(bytes);
  }

  /** New connections go there from now on. */
  target(port: number, host = "127.0.0.1"): void {
    this.#target = { port, host };
  }

  /**
   * All passes again. What was sent into a blackhole arrives late, as after a
   * network's outage, and so does the end of a connection.
   */
  async restore(): Promise<void> {
    this.#become("open");
    for (const direction of BOTH) Object.assign(this.#faults[direction], noFaults());
    for (const pair of this.#pairs) {
      for (const flow of flows(pair)) flow.cutAfter(Number.POSITIVE_INFINITY);
      this.#pass(pair);
    }
    await this.#listen();
  }

  /**
   * Resets the connections there are now, and nothing else. Who was sent something just
   * before has 50 ms to read it; nothing more passes meanwhile.
   */
  reset(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  /**
   * The connections there are now stay silent until `resetForgotten` or `close`, even if
   * all is restored, as when a router has forgotten them. Nobody is told.
   */
  forget(): void {
    for (const pair of this.#pairs) {
      hold(pair);
      this.#forgotten.add(pair);
    }
    this.#pairs.clear();
  }

  /** Both sides of the connections that are forgotten hear at last that they are gone. */
  resetForgotten(): void {
    for (const pair of this.#forgotten) this.#end(pair);
    this.#forgotten.clear();
  }

  /** Ends every connection and the proxy. */
  async close(): Promise<void> {
    const pairs = [...this.#pairs, ...this.#forgotten];
    this.resetForgotten();
    await this.cut();
    await Promise.all(this.#resets);
    this.#mode = "closed";
    // Who is still being connected to cannot be reset, and may never answer.
    for (const { through } of pairs) through?.target.destroy();
  }

  #become(mode: ProxyMode): void {
    this.#mustBeOpen();
    this.#mode = mode;
  }

  #mustBeOpen(): void {
    if (this.#mode === "closed") throw new Error("the proxy is closed");
  }

  #change(direction: Direction, faults: Partial<DirectionFaults>): void {
    this.#mustBeOpen();
    Object.assign(this.#faults[direction], faults);
    for (const pair of this.#pairs) pair.through?.flows[direction].update();
  }

  async #listen(): Promise<void> {
    if (this.#listener) return;
    // Unread until it may pass: who does not read hears neither a FIN nor a reset.
    const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    this.#listener = listener;
    listener.on("connection", (client) => this.#accept(client));
    listener.listen(this.#port, "127.0.0.1");
    await once(listener, "listening");
    this.#port = (listener.address() as AddressInfo).port;
  }

  #stopListening(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  #accept(client: Socket): void {
    const pair: Pair = { client, through: undefined };
    this.#pairs.add(pair);
    client.on("error", () => this.#fail(pair, "to-target"));
    client.on("close", () => this.#forgetEnded(pair));
    if (this.#mode === "cut" || this.#mode === "refuse") {
      this.#end(pair); // it was in the backlog
      return;
    }
    this.#acceptedAt.push(performance.now());
    if (this.#mode === "open") this.#pass(pair);
  }

  #pass(pair: Pair): void {
    pair.through ??= this.#reach(pair);
    for (const flow of flows(pair)) flow.letGo();
  }

  #reach(pair: Pair): NonNullable<Pair["through"]> {
    const { client } = pair;
    const target = connect({ ...this.#target, allowHalfOpen: true });
    target.on("error", () => this.#fail(pair, "to-client")); // also if nobody listens there
    target.on("close", () => this.#forgetEnded(pair));
    const end = () => this.#end(pair);
    return {
      target,
      flows: {
        "to-client": new FaultFlow(target, client, this.#faults["to-client"], end),
        "to-target": new FaultFlow(client, target, this.#faults["to-target"], end),
      },
    };
  }

  /** Who speaks in this direction was reset: the other one hears of it when it may. */
  #fail(pair: Pair, direction: Direction): void {
    if (pair.through) pair.through.flows[direction].fail();
    else this.#end(pair);
  }

  /** If both sides have ended, and as they should. */
  #forgetEnded(pair: Pair): void {
    const { client, through } = pair;
    const ended = (side: Socket | undefined) => !side || (side.closed && !side.errored);
    if (ended(client) && ended(through?.target)) this.#pairs.delete(pair);
  }

  /** Both sides hear of it as of a crash. */
  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    for (const flow of flows(pair)) {
      flow.stop();
      this.#reset(flow.sink, flow.passedAt + READ_GRACE_MS);
    }
    if (!pair.through) reset(pair.client);
  }

  #reset(socket: Socket, at: number): void {
    const waitMs = at - performance.now();
    if (waitMs <= 0) {
      reset(socket);
      return;
    }
    const done = sleep(waitMs).then(() => {
      reset(socket);
      this.#resets.delete(done);
    });
    this.#resets.add(done);
  }
}

function directions(direction: Direction | undefined): readonly Direction[] {
  return direction ? [direction] : BOTH;
}

function flows({ through }: Pair): FaultFlow[] {
  return through ? Object.values(through.flows) : [];
}

/** Nobody reads any more: bytes, ends and resets wait. */
function hold(pair: Pair): void {
  for (const flow of flows(pair)) flow.hold();
}

/**
 * While the end of a socket is under way Node cannot reset it, and forgets it: it would
 * stay open, and its other side would wait for ever.
 */
function reset(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding) socket.once("finish", () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}

async function closing(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}

function atLeast(name: string, value: number, least: number): void {
  if (!(value >= least)) throw new RangeError(`${name} must be at least ${least}, not ${value}`);
}
