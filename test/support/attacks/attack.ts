import { connect, type Socket } from "node:net";

/** What the program `attacker` is started with. */
export interface AttackConfig {
  /** The name of one of `attacks/`. */
  readonly attack: string;
  readonly port: number;
  /** How many connections, calls or whatever it is made of. */
  readonly count: number;
  /** A valid token, of an attacker who has one. */
  readonly token?: string;
  /** Which of several forms the attack takes. */
  readonly form?: string;
}

/** Where attackers come from: not where well-behaved clients are. */
export const ATTACKER_ADDRESS = "127.0.0.2";

/** What an attack has seen so far. */
export interface Harvest {
  opened: number;
  closed: number;
  sentBytes: number;
  /** Anything else that is worth a figure. */
  readonly seen: Record<string, number>;
}

/** Begins, and resolves when it is at full strength; it then goes on until its process ends. */
export type Attack = (config: AttackConfig, harvest: Harvest) => Promise<void>;

/** A connection of an attacker. It survives whatever is done to it. */
export function open(config: AttackConfig, harvest: Harvest): Socket {
  const socket = connect({
    port: config.port,
    host: "127.0.0.1",
    localAddress: ATTACKER_ADDRESS,
    noDelay: true,
    allowHalfOpen: true,
  });
  harvest.opened += 1;
  socket.on("error", () => {});
  socket.once("close", () => {
    harvest.closed += 1;
  });
  return socket;
}

/** As `open`; resolves once it is connected, or lost. */
export function opened(config: AttackConfig, harvest: Harvest): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = open(config, harvest);
    socket.once("connect", () => resolve(socket));
    socket.once("close", () => resolve(socket));
  });
}

/** `count` connections, some at a time; each is begun by `begin`. */
export async function openMany(
  config: AttackConfig,
  harvest: Harvest,
  count: number,
  begin: (socket: Socket, index: number) => void,
): Promise<void> {
  const AT_A_TIME = 200;
  for (let first = 0; first < count; first += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, count - first) }, async (_, index) => {
      const socket = await opened(config, harvest);
      if (!socket.destroyed) begin(socket, first + index);
    });
    await Promise.all(some);
  }
}

/** The network may take all at once: others of this process come in between. */
const CHUNKS_AT_A_TIME = 20;

/** Writes what `chunks` makes, as fast as it is taken, and on a new connection once one is lost. */
export function flood(
  config: AttackConfig,
  harvest: Harvest,
  hello: Buffer,
  chunks: () => () => Buffer,
  { reads = true }: { readonly reads?: boolean } = {},
): void {
  const socket = open(config, harvest);
  if (reads) socket.resume();
  let next = chunks();
  const pump = () => {
    for (let n = 0; n < CHUNKS_AT_A_TIME; n++) {
      if (socket.destroyed) return;
      const chunk = next();
      harvest.sentBytes += chunk.length;
      if (!socket.write(chunk)) return;
    }
    setImmediate(pump);
  };
  socket.once("connect", () => {
    next = chunks();
    socket.write(hello);
    pump();
  });
  socket.on("drain", () => setImmediate(pump));
  socket.once("end", () => socket.destroy());
  socket.once("close", () => {
    setTimeout(() => flood(config, harvest, hello, chunks, { reads }), 20);
  });
}
