import type { Random } from "../../src/lib/random.js";
import { eventually } from "./eventually.js";
import { FaultProxy } from "./fault-proxy.js";

/** How often a proxy is looked at for a new connection. */
const LOOK_MS = 10;
/** More than any client waits before it tries again. */
const PATIENCE_MS = 20_000;

/**
 * Proxies, each for one client that connects again and again: every connection is reset
 * after another number of bytes, to one side or to the other. For both sides that is an
 * exit of the other one.
 */
export class RandomCuts {
  readonly #proxies: readonly FaultProxy[];
  readonly #seen: number[];
  readonly #random: Random;
  readonly #most: number;
  #timer: NodeJS.Timeout | undefined;

  private constructor(proxies: readonly FaultProxy[], random: Random, most: number) {
    this.#proxies = proxies;
    this.#seen = proxies.map(() => 0);
    this.#random = random;
    this.#most = most;
  }

  /** `count` proxies, open at first. `most`: bytes at most until a cut. */
  static async open(
    port: number,
    count: number,
    random: Random,
    most = 4_096,
  ): Promise<RandomCuts> {
    const proxies = await Promise.all(Array.from({ length: count }, () => FaultProxy.open(port)));
    return new RandomCuts(proxies, random, most);
  }

  get ports(): number[] {
    return this.#proxies.map(({ port }) => port);
  }

  /** Connections that have ended, all together. */
  get count(): number {
    return this.#proxies.reduce(
      (sum, { accepted, connections }) => sum + accepted - connections,
      0,
    );
  }

  /** From now on, and at once for those that are open. */
  begin(): void {
    for (const proxy of this.#proxies) this.#cutNext(proxy);
    this.#timer = setInterval(() => {
      for (const [n, proxy] of this.#proxies.entries()) {
        if (this.#seen[n] === proxy.accepted) continue;
        this.#seen[n] = proxy.accepted;
        this.#cutNext(proxy);
      }
    }, LOOK_MS);
  }

  /** Waits until `count` connections have ended. Rejects when none does any more. */
  async reach(count: number): Promise<void> {
    while (this.count < count) {
      const { count: before } = this;
      await eventually(() => {
        if (this.count === before) throw new Error(`no connection ends after ${before}`);
      }, PATIENCE_MS);
    }
  }

  /** No more; what is open stays. */
  async rest(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#proxies.map((proxy) => proxy.restore()));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }

  /** As often in the first hundred bytes as in the thousands. */
  #cutNext(proxy: FaultProxy): void {
    const bytes = Math.floor(this.#most ** (0.4 + 0.6 * this.#random.next()));
    proxy.cutAfter(bytes, this.#random.next() < 0.5 ? "to-client" : "to-target");
  }
}
