import type { Socket } from "node:net";

export type Direction = "to-client" | "to-target";

/** What is wrong with one direction of every connection of a proxy. */
export interface DirectionFaults {
  /** `paused`: nothing is read. `dropping`: what is read is thrown away. */
  reading: "passing" | "paused" | "dropping";
  delayMs: number;
  bytesPerSecond: number;
  /** What a new connection may pass before it is reset. */
  cutAfterBytes: number;
}

export function noFaults(): DirectionFaults {
  return {
    reading: "passing",
    delayMs: 0,
    bytesPerSecond: Number.POSITIVE_INFINITY,
    cutAfterBytes: Number.POSITIVE_INFINITY,
  };
}

/** What a flow holds at most before its sender feels it, but for one chunk more. */
const BUFFER_BYTES = 256 * 1024;
/** A throttled flow passes as much at once as its rate gives in this time. */
const SLICE_MS = 10;
/**
 * How long before a reset a peer has time to read what has passed. A reset takes along
 * what its own kernel has not sent yet, which is what the peer has no room for (some 60 kB
 * are always there); and Node takes one that it finds together with bytes for an end.
 */
export const READ_GRACE_MS = 50;

interface Item {
  readonly readAt: number;
  readonly part: Buffer | "end" | "reset";
}

/**
 * One direction of one connection: what `source` says, passed on to `sink` in order,
 * as late, as slowly and as far as the faults allow.
 */
export class FaultFlow {
  #queue: Item[] = [];
  #queuedBytes = 0;
  #state: "held" | "going" | "stopped" = "held";
  #leftBytes: number;
  /** Until when the line was busy with what has passed. */
  #busyUntil = 0;
  /** When the connection is cut; Infinity while its kernel has not even taken all. */
  #resetsAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #passedAt = Number.NEGATIVE_INFINITY;

  /** Held until it is let go. `reset` is asked to end the whole connection. */
  constructor(
    readonly source: Socket,
    readonly sink: Socket,
    readonly faults: DirectionFaults,
    readonly reset: () => void,
  ) {
    this.#leftBytes = faults.cutAfterBytes;
    source.on("data", (part: Buffer) => {
      if (faults.reading !== "dropping") this.#take(part);
    });
    source.on("end", () => this.#take(wasReset(source) ? "reset" : "end"));
    sink.on("drain", () => {
      this.#busyUntil = Math.max(this.#busyUntil, performance.now()); // lost time is not made up
      this.update();
    });
  }

  /** When bytes last passed, by `performance.now()`. */
  get passedAt(): number {
    return this.#passedAt;
  }

  /** Nothing passes, and nobody reads: bytes, ends and resets wait, mostly in the kernel. */
  hold(): void {
    if (this.#state !== "stopped") this.#state = "held";
    this.update();
  }

  letGo(): void {
    if (this.#state === "held") this.#state = "going";
    this.update();
  }

  /** Once `bytes` more have passed, the connection is reset; Infinity: it is not. */
  cutAfter(bytes: number): void {
    this.#leftBytes = bytes;
    this.#resetsAt = undefined;
    this.update();
  }

  /** The source was reset, or could not be reached. */
  fail(): void {
    this.#take("reset");
  }

  /** Forever. */
  stop(): void {
    this.#state = "stopped";
    this.#queue = [];
    this.update();
  }

  /** To be called when a fault has changed. */
  update(): void {
    clearTimeout(this.#timer);
    while (this.#state === "going" && this.#passed());
    const reads =
      this.#state === "going" &&
      this.faults.reading !== "paused" &&
      this.#queuedBytes < BUFFER_BYTES;
    // One that is paused still hears of a reset; that waits in the queue.
    if (reads) this.source.resume();
    else this.source.pause();
  }

  #take(part: Item["part"]): void {
    this.#queue.push({ readAt: performance.now(), part });
    if (typeof part !== "string") this.#queuedBytes += part.length;
    this.update();
  }

  /** Whether the next that is to pass could, and did. */
  #passed(): boolean {
    if (this.#leftBytes <= 0) return this.#cut();
    // Who does not read its bytes hears of a reset nevertheless.
    const item = this.sink.writableNeedDrain ? this.#resetAtLast() : this.#queue[0];
    if (!item) return false;
    const { part } = item;
    if (typeof part === "string" && this.faults.reading !== "passing") return false;

    const bytes = typeof part === "string" ? 0 : this.#slice(part);
    const startsAt = Math.max(item.readAt + this.faults.delayMs, this.#busyUntil);
    const passesAt = startsAt + (bytes * 1000) / this.faults.bytesPerSecond;
    if (!this.#isDue(passesAt)) return false;
    this.#busyUntil = passesAt;
    if (part === "reset") {
      this.reset();
      return false;
    }
    this.#queue.shift();
    if (part === "end") this.sink.end();
    else this.#write(part, bytes, item.readAt);
    return true;
  }

  #resetAtLast(): Item | undefined {
    const last = this.#queue.at(-1);
    return last?.part === "reset" ? last : undefined;
  }

  /** How much of `part` may pass at once. */
  #slice(part: Buffer): number {
    const rate = Math.max(1, Math.floor((this.faults.bytesPerSecond * SLICE_MS) / 1000));
    return Math.min(part.length, rate, this.#leftBytes);
  }

  #write(part: Buffer, bytes: number, readAt: number): void {
    if (bytes < part.length) this.#queue.unshift({ readAt, part: part.subarray(bytes) });
    this.#queuedBytes -= bytes;
    this.#leftBytes -= bytes;
    this.#passedAt = performance.now();
    this.sink.write(part.subarray(0, bytes));
  }

  /** Resets once all that was to pass is with the sink. */
  #cut(): false {
    if (this.#resetsAt === undefined) {
      this.#resetsAt = Number.POSITIVE_INFINITY;
      this.sink.write(Buffer.alloc(0), () => {
        if (this.#resetsAt === undefined) return; // restored meanwhile
        this.#resetsAt = performance.now() + READ_GRACE_MS;
        this.update();
      });
    } else if (this.#isDue(this.#resetsAt)) this.reset();
    return false;
  }

  /** If not, all is looked at again when it is. */
  #isDue(at: number): boolean {
    const waitMs = at - performance.now();
    if (waitMs <= 0) return true;
    if (Number.isFinite(waitMs)) this.#timer = setTimeout(() => this.update(), Math.ceil(waitMs));
    return false;
  }
}

/**
 * Whether what Node calls an end was a reset that came together with bytes: nobody is
 * there any more, though nothing was ended from here. Node remembers an address that it
 * was asked for, so nobody may ask before.
 */
function wasReset(socket: Socket): boolean {
  return !socket.writableEnded && socket.remoteAddress === undefined;
}
