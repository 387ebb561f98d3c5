import type { Socket } from "node:net";
import type { Client } from "@grpc/grpc-js";
import type { Clock, Timer } from "../lib/clock.js";
import { collectingSockets } from "./collected-sockets.js";
import type { Endpoint } from "./endpoint-lookup.js";
import { awaitOutcome, connectChannel } from "./grpc-channel.js";

/** How long one endpoint is given before the next is tried beside it. */
export const HEAD_START_MS = 500;
/** How long the last one is given; then nobody can be reached. */
export const LAST_CHANCE_MS = 5_000;

/** A channel to one endpoint. */
export interface Link {
  readonly endpoint: Endpoint;
  readonly client: Client;
}

export interface DialResult {
  /**
   * The link that is there; else one whose first try has failed, so that a call on
   * it fails at once and says why. Undefined: nobody has said anything.
   */
  readonly link: Link | undefined;
  readonly reached: boolean;
  /** Those before it in the order, or all: they have not connected in their time. */
  readonly failed: readonly Endpoint[];
}

/**
 * Connects to the first of the endpoints that can be reached, in their order: the
 * next one is tried when one fails, or has not connected (TCP, TLS and the first
 * words of HTTP/2) in HEAD_START_MS. So an address without an answer, or a process
 * that is stopped, costs half a second and not the attempt. The others are closed.
 *
 * A channel for each endpoint, and not a list of addresses for one: grpc-js knows one
 * TLS name for each channel, would go back to the first address after each loss, and
 * cannot be told to leave an endpoint that takes connections but answers nothing.
 *
 * The only endpoint of a name has no more time than the last of several: the name may
 * stand for another one by then.
 */
export function dialEndpoints(
  endpoints: readonly Endpoint[],
  open: (endpoint: Endpoint) => Client,
  clock: Clock,
  signal: AbortSignal,
): Promise<DialResult> {
  return new Promise((resolve) => {
    const dials: Dial[] = [];
    let timer: Timer | undefined;

    function tryNext(): void {
      timer?.cancel();
      const endpoint = endpoints[dials.length];
      if (!endpoint) {
        end(undefined);
        return;
      }
      const dial = new Dial({ endpoint, client: open(endpoint) });
      dials.push(dial);
      const isLast = dials.length === endpoints.length;
      timer = clock.setTimer(isLast ? LAST_CHANCE_MS : HEAD_START_MS, tryNext);
      dial.start((outcome) => {
        if (outcome === "ready") return end(dial);
        const isLatest = dial === dials.at(-1);
        const isOver = dials.length === endpoints.length && dials.every((d) => d.hasFailed);
        if (isOver || (isLatest && !isLast)) tryNext();
      });
    }

    function end(winner: Dial | undefined): void {
      timer?.cancel();
      signal.removeEventListener("abort", giveUp);
      const kept = winner ?? (signal.aborted ? undefined : dials.find((dial) => dial.hasFailed));
      for (const dial of dials) if (dial !== kept) dial.abandon();
      const before = winner ? dials.indexOf(winner) : dials.length;
      resolve({
        link: kept?.link,
        reached: winner !== undefined,
        failed: endpoints.slice(0, before),
      });
    }

    const giveUp = () => end(undefined);
    if (signal.aborted) return end(undefined);
    signal.addEventListener("abort", giveUp, { once: true });
    tryNext();
  });
}

/** One endpoint that is being connected to. */
class Dial {
  readonly link: Link;
  readonly #sockets = new Set<Socket>();
  #state: "begun" | "failed" | "abandoned" = "begun";

  constructor(link: Link) {
    this.link = link;
  }

  get hasFailed(): boolean {
    return this.#state === "failed";
  }

  start(onOutcome: (outcome: "ready" | "failed") => void): void {
    const { client } = this.link;
    collectingSockets(this.#sockets, () => connectChannel(client));
    awaitOutcome(client, (outcome) => {
      if (this.#state !== "begun") return;
      if (outcome === "failed") this.#state = "failed";
      onOutcome(outcome);
    });
  }

  abandon(): void {
    this.#state = "abandoned";
    this.link.client.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
