import { Code, ConnectError } from "@connectrpc/connect";
import { type Clock, systemClock } from "../lib/clock.js";
import { type Random, systemRandom } from "../lib/random.js";
import { type Endpoint, EndpointLookup, type Lookup, literalEndpoint } from "./endpoint-lookup.js";
import type { TlsSource } from "./tls-options.js";

/**
 * What there is besides the present endpoint. `none`: there is one only, so
 * nothing can be gained elsewhere. `untried`: at least one has not failed since
 * all went well. `tried`: all of them have.
 */
export type OtherEndpoints = "none" | "tried" | "untried";

/** Whether a call that failed like that may be answered by another endpoint. */
export function isFaultOfEndpoint(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unavailable || code === Code.DeadlineExceeded;
}

export interface EndpointsOptions {
  /** How those with `https` are trusted; left out: as Node does by itself. */
  readonly tls?: TlsSource;
  readonly clock?: Clock;
  readonly random?: Random;
  /** For tests: what a host name stands for. */
  readonly lookup?: Lookup;
}

/**
 * The endpoints of one Pulse as one client sees them: which there are, which one
 * it uses, and which have failed in this round. A round begins when the client is
 * well, and lasts until it is well again.
 *
 * The first endpoint is a random one, and so is each next one among those that are
 * untried: a fleet spreads over the nodes, and that of a dead node over those that
 * are left. In between, a client stays where it is.
 */
export class Endpoints {
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly tls: TlsSource | undefined;
  readonly #random: Random;
  readonly #lookup: EndpointLookup;
  #found: readonly Endpoint[] = [];
  #current: Endpoint | undefined;
  /** Places that have failed in this round, the one that failed last at the end. */
  readonly #tried = new Set<string>();

  /** @param addresses `http://host:port` or `https://host:port`, at least one, each once */
  constructor(addresses: readonly string[], options: EndpointsOptions = {}) {
    const { clock = systemClock, random = systemRandom, lookup, tls } = options;
    this.addresses = addresses;
    this.clock = clock;
    this.tls = tls;
    this.#random = random;
    this.#lookup = new EndpointLookup(addresses, clock, lookup);
  }

  /** Of all its addresses. */
  get scheme(): "http" | "https" {
    return this.addresses[0]?.startsWith("https:") ? "https" : "http";
  }

  /** The address, if it is the only one and an IP address: then there can never be another endpoint. */
  get lone(): string | undefined {
    const [address = "", ...others] = this.addresses;
    return others.length === 0 && literalEndpoint(address) ? address : undefined;
  }

  /** The endpoint that was reached last, unless it was left since. */
  get current(): Endpoint | undefined {
    return this.#current;
  }

  /** How many there were when they were looked up last. */
  get count(): number {
    return this.#found.length;
  }

  get others(): OtherEndpoints {
    if (this.#found.length < 2) return "none";
    const isUntried = ({ place }: Endpoint) =>
      place !== this.#current?.place && !this.#tried.has(place);
    return this.#found.some(isUntried) ? "untried" : "tried";
  }

  /**
   * Looks them up, and puts them into the order in which they should be tried: the
   * present one, the untried ones at random, then those that failed, the one that
   * failed longest ago first.
   * @throws ConnectError (UNAVAILABLE) if there are none
   */
  async candidates(): Promise<readonly Endpoint[]> {
    const found = await this.#lookup.find();
    this.#found = found;
    const failed = [...this.#tried].flatMap((place) => found.filter((e) => e.place === place));
    this.#tried.clear(); // forgets those that are not there any more
    for (const { place } of failed) this.#tried.add(place);
    const untried = this.#shuffled(found.filter((endpoint) => !failed.includes(endpoint)));
    const present = untried.findIndex(({ place }) => place === this.#current?.place);
    return [...untried.splice(present, present < 0 ? 0 : 1), ...untried, ...failed];
  }

  /** The client is connected to it. */
  reached(endpoint: Endpoint): void {
    this.#current = endpoint;
  }

  failed(endpoint: Endpoint): void {
    this.#tried.delete(endpoint.place);
    this.#tried.add(endpoint.place);
    if (this.#current?.place === endpoint.place) this.#current = undefined;
  }

  /**
   * An attempt has failed on the present endpoint: the next one goes to another, if
   * there is one. Without a present one the cause lies on this side, and no
   * endpoint is worth a try before the others.
   */
  leave(): void {
    if (this.others === "none") return;
    if (this.#current) this.failed(this.#current);
    else for (const { place } of this.#found) this.#tried.add(place);
  }

  /** All has been well for a while: the next failure begins a new round. */
  settle(): void {
    this.#tried.clear();
  }

  #shuffled(endpoints: Endpoint[]): Endpoint[] {
    const rest = [...endpoints];
    const order: Endpoint[] = [];
    while (rest.length > 1)
      order.push(...rest.splice(Math.floor(this.#random.next() * rest.length), 1));
    return [...order, ...rest];
  }
}
