import type { Clock } from "../lib/clock.js";

/** Looks in the time that a peer has for its answer. */
const LOOKS = 4;
/** A look that comes after so many intervals, instead of one, tells that this process stood still. */
const LATE_AFTER_INTERVALS = 2;

export interface SilenceWatchOptions<Peer> {
  readonly clock: Clock;
  /** A peer that was not heard for so long, in ms, is asked for a sign of life. */
  readonly pingAfterMs: number;
  /** How long it may then stay silent, in ms. */
  readonly pingTimeoutMs: number;
  /** True once nothing more is expected of `peer`: it is watched no more. */
  readonly isOver: (peer: Peer) => boolean;
  /** All bytes that ever came from `peer`. */
  readonly readBytes: (peer: Peer) => number;
  /** All bytes that the network has ever taken for `peer`; undefined while it has them all. */
  readonly takenBytes: (peer: Peer) => number | undefined;
  /** Asks `peer` for an answer, whatever it is. */
  readonly ping: (peer: Peer) => void;
  /** Told once of a peer that did not answer. It is watched no more. */
  readonly onSilence: (peer: Peer) => void;
}

/** Finds peers that are gone without a word. */
export interface SilenceWatch<Peer> {
  /** Watches `peer` until it is over. */
  add(peer: Peer): void;
}

interface Silence {
  readBytes: number;
  takenBytes: number | undefined;
  /** How often it was looked at since it was heard. */
  looks: number;
}

/**
 * Looks at all peers now and then: a timer for each of thousands would be memory, and
 * one that each message sets back would be time.
 *
 * A peer also lives if it takes what had to wait for it: a slow one may have answered
 * long ago, but Node reads nothing from a connection to which it cannot write.
 *
 * Looks are counted, not time, and one that comes late counts for nobody: what came
 * while this process stood still is not read yet. Peers are asked `pingAfterMs` after
 * they were last heard, and are silent `pingTimeoutMs` later, or both a quarter of
 * `pingTimeoutMs` after that.
 */
export function createSilenceWatch<Peer>(options: SilenceWatchOptions<Peer>): SilenceWatch<Peer> {
  const { clock, pingTimeoutMs, isOver, readBytes, takenBytes, ping, onSilence } = options;
  const lookMs = pingTimeoutMs / LOOKS;
  const pingLooks = Math.ceil(options.pingAfterMs / lookMs);
  const peers = new Map<Peer, Silence>();
  let isLookDue = false;

  function look(peer: Peer, silence: Silence): void {
    if (isOver(peer)) {
      peers.delete(peer);
    } else if (!isHeard(peer, silence)) {
      silence.looks += 1;
      if (silence.looks === pingLooks) {
        ping(peer);
      } else if (silence.looks === pingLooks + LOOKS) {
        peers.delete(peer);
        onSilence(peer);
      }
    }
  }

  function isHeard(peer: Peer, silence: Silence): boolean {
    const read = readBytes(peer);
    const hasRead = read !== silence.readBytes;
    // Asked only of those that seem silent, since most are not.
    const taken = hasRead ? undefined : takenBytes(peer);
    const hasTaken = silence.takenBytes !== undefined && taken !== silence.takenBytes;
    silence.readBytes = read;
    silence.takenBytes = taken;
    if (hasRead || hasTaken) silence.looks = 0;
    return hasRead || hasTaken;
  }

  function schedule(): void {
    if (isLookDue) return;
    isLookDue = true;
    const setAt = clock.now();
    clock.setTimer(lookMs, () => {
      isLookDue = false;
      const isLate = clock.now() - setAt > LATE_AFTER_INTERVALS * lookMs;
      if (!isLate) for (const [peer, silence] of peers) look(peer, silence);
      if (peers.size > 0) schedule();
    });
  }

  return {
    add(peer) {
      // The first look counts as hearing it, however soon it comes.
      peers.set(peer, { readBytes: -1, takenBytes: undefined, looks: 0 });
      schedule();
    },
  };
}
