import { addressBlock } from "../lib/address-block.js";
import type { Clock } from "../lib/clock.js";
import type { WireLimits } from "./limits.js";

/** Looks in the time that a request has to come as a whole. */
const LOOKS = 4;

/** Whose calls are counted together: those of one IPv4 address or one IPv6 /64. */
interface Peer {
  readonly block: string;
  calls: number;
  bytes: number;
}

/** A call as far as its bounds go. */
export interface BoundedCall {
  /** `bytes` more of a message came that is not whole yet; the call may be dropped for it. */
  hold(bytes: number): void;
  /** The message is whole: nothing is held any more. */
  release(): void;
  /** The call is over. */
  end(): void;
}

/** Bounds what all calls together take before anybody knows who makes them. */
export interface CallBounds {
  /**
   * Counts a call until its end; undefined if there are too many, of all or of its address.
   * @param drop ends the call: its message does not come to an end, or too much is held
   */
  begin(address: string, drop: () => void): BoundedCall | undefined;
}

type CallLimits = Pick<
  WireLimits,
  "maxCalls" | "maxCallsPerAddress" | "maxHeldBytes" | "maxHeldBytesPerAddress" | "requestTimeoutMs"
>;

/**
 * The calls and the bytes of messages that have begun, counted for all and for each
 * address. A message of a call that nobody has looked at may be of the largest size, and
 * there may be a thousand on each of thousands of connections.
 *
 * Looks are counted, not time: while this process stood still nothing could come. A
 * message has `requestTimeoutMs` from its begin, or up to a quarter more.
 */
export function createCallBounds(limits: CallLimits, clock: Clock): CallBounds {
  const peers = new Map<string, Peer>();
  const all = { calls: 0, bytes: 0 };
  /** Calls that wait for the rest of a message, the one that waits longest first. */
  const waiting = new Map<Call, number>();
  let look = 0;
  let isLookDue = false;

  class Call implements BoundedCall {
    #bytes = 0;
    #isOver = false;

    constructor(
      private readonly peer: Peer,
      private readonly drop: () => void,
    ) {
      this.#wait();
    }

    hold(bytes: number): void {
      if (this.#isOver) return;
      if (this.#bytes === 0) this.#wait();
      this.#count(bytes);
      if (all.bytes > limits.maxHeldBytes || this.peer.bytes > limits.maxHeldBytesPerAddress)
        this.giveUp();
    }

    release(): void {
      if (this.#isOver) return;
      waiting.delete(this);
      this.#count(-this.#bytes);
    }

    end(): void {
      if (this.#isOver) return;
      this.release();
      this.#isOver = true;
      all.calls -= 1;
      this.peer.calls -= 1;
      if (this.peer.calls === 0) peers.delete(this.peer.block);
    }

    giveUp(): void {
      this.end();
      this.drop();
    }

    #wait(): void {
      if (waiting.has(this)) return;
      waiting.set(this, look);
      schedule();
    }

    #count(bytes: number): void {
      this.#bytes += bytes;
      this.peer.bytes += bytes;
      all.bytes += bytes;
    }
  }

  function schedule(): void {
    if (isLookDue) return;
    isLookDue = true;
    clock.setTimer(limits.requestTimeoutMs / LOOKS, () => {
      isLookDue = false;
      look += 1;
      for (const [call, since] of waiting) {
        if (look - since <= LOOKS) break; // so are all after it
        call.giveUp();
      }
      if (waiting.size > 0) schedule();
    });
  }

  return {
    begin(address, drop) {
      const block = addressBlock(address);
      const peer = peers.get(block) ?? { block, calls: 0, bytes: 0 };
      if (all.calls >= limits.maxCalls || peer.calls >= limits.maxCallsPerAddress) return undefined;
      all.calls += 1;
      peer.calls += 1;
      peers.set(block, peer);
      return new Call(peer, drop);
    },
  };
}
