import type { Writable } from "node:stream";
import type { Clock } from "../lib/clock.js";

/** Looks that find no progress before a peer counts as stalled. */
const LOOKS = 4;
/** A write is seen to progress only when it is done as a whole: a larger one gets this much at a time. */
const BYTES_PER_STALL = 1_024 * 1_024;

export interface StallWatchOptions<Sender> {
  readonly clock: Clock;
  /** How long a peer may take nothing of what waits for it, in ms; for each MiB of it, that long. */
  readonly stallMs: number;
  /** All bytes that were ever written to `sender`, taken or not. */
  readonly writtenBytes: (sender: Sender) => number;
  /** Told once of a sender whose peer has stalled. It is watched no more. */
  readonly onStall: (sender: Sender) => void;
}

/** Finds peers that do not take what waits for them, and never will. */
export interface StallWatch<Sender> {
  /** Watches `sender` until it is closed. */
  add(sender: Sender): void;
}

interface Waiting {
  /** Bytes that the peer had taken when it was last seen to take any. */
  readonly takenBytes: number;
  /** How often it was looked at since, in vain. */
  looks: number;
}

/**
 * Looks at all senders now and then, since most of the thousands that are open have
 * nothing to send, and each of Node's own timeouts would be a timer of its own; that
 * of an HTTP/2 stream also counts whatever moves on the whole connection as activity.
 *
 * Looks are counted, not time: while this process stood still nobody could take
 * anything. A stall is found `stallMs` after its beginning, or up to a quarter later.
 */
export function createStallWatch<Sender extends Writable>(
  options: StallWatchOptions<Sender>,
): StallWatch<Sender> {
  const { clock, stallMs, writtenBytes, onStall } = options;
  const senders = new Map<Sender, Waiting | undefined>();
  let isLookDue = false;

  function forget(this: Sender): void {
    senders.delete(this);
  }

  function look(): void {
    isLookDue = false;
    for (const [sender, seen] of senders) {
      const waitingBytes = sender.writableLength;
      if (waitingBytes === 0) continue;
      const takenBytes = writtenBytes(sender) - waitingBytes;
      if (seen?.takenBytes !== takenBytes) {
        senders.set(sender, { takenBytes, looks: 0 });
      } else {
        seen.looks += 1;
        if (seen.looks < LOOKS * Math.ceil(waitingBytes / BYTES_PER_STALL)) continue;
        senders.delete(sender);
        onStall(sender);
      }
    }
    if (senders.size > 0) schedule();
  }

  function schedule(): void {
    if (isLookDue) return;
    isLookDue = true;
    clock.setTimer(stallMs / LOOKS, look);
  }

  return {
    add(sender) {
      senders.set(sender, undefined);
      sender.on("close", forget); // one function for all: there are thousands
      schedule();
    },
  };
}
