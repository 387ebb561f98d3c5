import { createSocket } from "node:dgram";
import type { LookupAddress } from "node:dns";
import { lookup, Resolver } from "node:dns/promises";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import type { Clock } from "../lib/clock.js";
import { hostOf, isLoopbackHost, withoutMapping } from "../lib/host.js";

/** A name server that is away must not hold up a start. */
const DNS_TIMEOUT_MS = 2_000;
/** The system asks a second name server after 5 s; nobody is to wait much longer than that for it. */
const LOOK_UP_TIMEOUT_MS = 6_000;
const CONNECT_TIMEOUT_MS = 3_000;

export interface NetworkAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** An address of this host by which packets leave it. */
export interface Route extends NetworkAddress {
  /** The interface that has it; undefined if it has gone since. */
  readonly interfaceName: string | undefined;
}

/** `refused`: nobody listens there. `silent`: no connection for any other reason. */
export type Connection = "connected" | "refused" | "silent";

/** What a host can find out about its own place in the network. No call rejects. */
export interface HostNetwork {
  /** All addresses of a host, as programs of this host see it: also by its hosts file. None after 6 s. */
  lookUp(host: string): Promise<readonly NetworkAddress[]>;
  /** All addresses of a name, as name servers elsewhere tell it to anybody. */
  askDns(name: string, family: 4 | 6): Promise<readonly string[]>;
  /** By which of its addresses this host reaches another; undefined: by none. Sends nothing. */
  routeTo(to: NetworkAddress, port: number): Promise<Route | undefined>;
  /** Whether a TCP connection can be made, within 3 s. It is closed at once. */
  connect(host: string, port: number): Promise<Connection>;
}

/** @param look for tests */
export function createHostNetwork(
  clock: Clock,
  look: (host: string) => Promise<readonly LookupAddress[]> = (host) => lookup(host, { all: true }),
): HostNetwork {
  return {
    async lookUp(host) {
      const found = await within(clock, LOOK_UP_TIMEOUT_MS, look(host)).catch(() => []);
      return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
    },
    askDns,
    routeTo,
    connect: (host, port) => tryToConnect(clock, host, port),
  };
}

/** What `work` comes to; it goes on after that time. @throws if it needs longer */
function within<T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = () => reject(new Error("it takes too long"));
    const limit = clock.setTimer(timeoutMs, end, { holdsProcess: true });
    work.then(resolve, reject).finally(() => limit.cancel());
  });
}

/**
 * A name server on loopback is not asked: that of systemd tells this host its own name,
 * that of Docker tells containers each other's, and nobody else would find these.
 */
async function askDns(name: string, family: 4 | 6): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 1 });
  const servers = resolver.getServers().filter((server) => !isLoopbackHost(serverHost(server)));
  if (servers.length === 0) return [];
  try {
    resolver.setServers(servers);
    return await (family === 6 ? resolver.resolve6(name) : resolver.resolve4(name));
  } catch {
    return []; // an unknown name and a name server that does not answer come to the same
  }
}

/** Of `1.2.3.4`, `1.2.3.4:53`, `::1` and `[::1]:53`. */
function serverHost(server: string): string {
  const text = server.includes("::") && !server.startsWith("[") ? `[${server}]` : server;
  return URL.canParse(`http://${text}`) ? hostOf(new URL(`http://${text}`)) : server;
}

/** The kernel chooses the address as soon as a socket for datagrams knows where to. */
function routeTo({ address, family }: NetworkAddress, port: number): Promise<Route | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(family === 6 ? "udp6" : "udp4");
    const end = (route: Route | undefined) => {
      socket.close();
      resolve(route);
    };
    // A failure comes as the argument of the callback, which Node's types do not know, or as an event.
    const take = (error?: Error): void => {
      const own = error ? undefined : withoutMapping(socket.address().address);
      end(own === undefined ? own : { address: own, family, interfaceName: interfaceOf(own) });
    };
    socket.once("error", take);
    socket.connect(port, address, take);
  });
}

function interfaceOf(address: string): string | undefined {
  const all = Object.entries(networkInterfaces());
  return all.find(([, own]) => own?.some((each) => each.address === address))?.[0];
}

function tryToConnect(clock: Clock, host: string, port: number): Promise<Connection> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (connection: Connection) => {
      limit.cancel();
      socket.destroy();
      resolve(connection);
    };
    const limit = clock.setTimer(CONNECT_TIMEOUT_MS, () => end("silent"), { holdsProcess: true });
    socket.once("connect", () => end("connected"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      end(code === "ECONNREFUSED" ? "refused" : "silent"),
    );
  });
}
