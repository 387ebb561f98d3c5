import { lookup as lookUp } from "node:dns/promises";
import { isIP } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Clock, sleep } from "../lib/clock.js";
import { hostOf, inUrl } from "../lib/host.js";

/** How long names that have no answer yet hold up those that have one. */
const STRAGGLER_MS = 1_000;

/** One place where a Pulse may be: an IP address and a port. */
export interface Endpoint {
  /** `10.0.0.1:9696`, or `[::1]:9696`. */
  readonly place: string;
  readonly scheme: "http" | "https";
  /** Host as it was given: a name that a certificate may have, or an IP address. */
  readonly host: string;
  readonly port: string;
}

/** All IP addresses of a host name. */
export type Lookup = (host: string) => Promise<readonly string[]>;

const systemLookup: Lookup = async (host) =>
  (await lookUp(host, { all: true })).map(({ address }) => address);

/** Finds the endpoints behind addresses, anew each time: what a name stands for may change. */
export class EndpointLookup {
  readonly #addresses: readonly string[];
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  /** What each address stood for when it was last found. */
  readonly #known = new Map<string, readonly Endpoint[]>();

  /** @param addresses `http://host:port` or `https://host:port` */
  constructor(addresses: readonly string[], clock: Clock, lookup: Lookup = systemLookup) {
    this.#addresses = addresses;
    this.#clock = clock;
    this.#lookup = lookup;
  }

  /**
   * Each endpoint once. A name that cannot be looked up stands for what it stood
   * for before, and hides no other; nor does one that takes long.
   * @throws ConnectError (UNAVAILABLE) if nothing is found at all
   */
  async find(): Promise<readonly Endpoint[]> {
    let reason: unknown;
    const lookups = this.#addresses.map(async (address) => {
      try {
        this.#known.set(address, await this.#behind(address));
      } catch (error) {
        reason = error;
        if (!this.#known.has(address)) throw error;
      }
    });
    await this.#enough(lookups);
    const found = new Map<string, Endpoint>();
    for (const address of this.#addresses)
      for (const endpoint of this.#known.get(address) ?? [])
        if (!found.has(endpoint.place)) found.set(endpoint.place, endpoint);
    if (found.size > 0) return [...found.values()];
    const text = reason instanceof Error ? reason.message : "a name has no address";
    throw new ConnectError(`no connection: ${text}`, Code.Unavailable);
  }

  /** Until all have ended, or one has gone well and the others have had their time. */
  async #enough(lookups: readonly Promise<void>[]): Promise<void> {
    const leaving = new AbortController();
    const stragglers = Promise.any(lookups).then(() =>
      sleep(this.#clock, STRAGGLER_MS, leaving.signal),
    );
    const all = Promise.allSettled(lookups);
    await Promise.race([all, stragglers.catch(() => all)]);
    leaving.abort();
  }

  async #behind(address: string): Promise<Endpoint[]> {
    const url = new URL(address);
    const host = hostOf(url);
    const addresses = isIP(host) ? [host] : await this.#lookup(host);
    return addresses.map((ip) => endpointAt(ip, url));
  }
}

/** What is behind an address without asking anyone; undefined if that is a name. */
export function literalEndpoint(address: string): Endpoint | undefined {
  const url = new URL(address);
  return isIP(hostOf(url)) ? endpointAt(hostOf(url), url) : undefined;
}

function endpointAt(ip: string, url: URL): Endpoint {
  const scheme = url.protocol === "https:" ? "https" : "http";
  const port = url.port || (scheme === "https" ? "443" : "80");
  return { place: `${inUrl(ip)}:${port}`, scheme, host: hostOf(url), port };
}
