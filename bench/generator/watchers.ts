import { quantileOf } from "../statistics.js";
import { within } from "../waiting.js";
import { Connection, type Target } from "./connection.js";
import { Counter } from "./counter.js";
import type { Counters } from "./load.js";
import { isBookmark } from "./messages.js";
import { WATCH } from "./paths.js";

/** What makes the changes, and knows what watchers should be told. */
export interface Publisher {
  /** Makes the next change. `onReply` is called once, with the problem if there is one. */
  publish(onReply: (problem: string | undefined) => void): void;
  /** What is wrong with the message that begins each watch, if anything. */
  problemOfOpening(message: Buffer): string | undefined;
  /** What is wrong with the message that tells of the newest change, if anything. */
  problemOfChange(message: Buffer): string | undefined;
  close(): void;
}

/** Of one change, in ms from the call that made it being sent. */
export interface ChangeTimes {
  readonly replyMs: number;
  /** Until the first, the middle and the last of the watchers had it. */
  readonly firstMs: number;
  readonly middleMs: number;
  readonly lastMs: number;
}

interface Change {
  readonly arrivedAt: number[];
  /** What the first watcher was told, checked in full; the others must be told the same. */
  message: Buffer | undefined;
  readonly onArrival: () => void;
}

const ANSWER_TIMEOUT_MS = 10_000;

/** Watchers of all download clients, each on a connection of its own. */
export class Watchers {
  /** Resolves when each of them has what a watch begins with. */
  readonly ready: Promise<void>;
  readonly #counter = new Counter();
  readonly #connections: Connection[] = [];
  readonly #publisher: Publisher;
  readonly #count: number;
  readonly #timeoutMs: number;
  #opening: Buffer | undefined;
  #change: Change | undefined;
  #lastChange: Buffer | undefined;
  #changes = 0;

  constructor(target: Target, count: number, publisher: Publisher, timeoutMs = ANSWER_TIMEOUT_MS) {
    this.#publisher = publisher;
    this.#count = count;
    this.#timeoutMs = timeoutMs;
    const opened = Array.from({ length: count }, () => this.#openWatch(target));
    this.ready = Promise.all(opened).then(() => {});
  }

  /** What each watch began with. @throws Error before it has come. */
  get opening(): Buffer {
    return recorded(this.#opening);
  }

  /** What everybody was told of the newest change. @throws Error before there was one. */
  get lastChange(): Buffer {
    return recorded(this.#lastChange);
  }

  /**
   * Makes one change, and waits until everybody has it. Not before the last one is over.
   * @throws Error if it fails, or somebody is still without it after 10 s.
   */
  async change(): Promise<ChangeTimes> {
    this.#changes++;
    const arrivedAt: number[] = [];
    let repliedAt = Number.NaN;
    let problem: string | undefined;
    const startedAt = performance.now();
    const over = new Promise<void>((resolve) => {
      const onArrival = () => {
        if (arrivedAt.length === this.#count && !Number.isNaN(repliedAt)) resolve();
      };
      this.#change = { arrivedAt, message: undefined, onArrival };
      this.#publisher.publish((failure) => {
        repliedAt = performance.now();
        problem = failure;
        if (failure === undefined) onArrival();
        else resolve();
      });
    });
    const isWhole = await within(over, this.#timeoutMs);
    this.#lastChange = this.#change?.message;
    this.#change = undefined;
    if (problem !== undefined) throw new Error(problem);
    if (!isWhole) throw new Error(this.#missing(arrivedAt.length));
    const after = arrivedAt.map((at) => at - startedAt);
    return {
      replyMs: repliedAt - startedAt,
      firstMs: after[0] ?? Number.NaN,
      middleMs: quantileOf(after, 0.5),
      lastMs: after.at(-1) ?? Number.NaN,
    };
  }

  counters(): Counters {
    return this.#counter.counters();
  }

  close(): void {
    this.#publisher.close();
    for (const connection of this.#connections) connection.close();
  }

  #openWatch(target: Target): Promise<void> {
    return new Promise((resolve, reject) => {
      let seen = -1; // changes: the opening is none
      const connection = new Connection(target);
      this.#connections.push(connection);
      connection.callOnce(WATCH, new Uint8Array(), {
        onMessage: (message) => {
          if (isBookmark(message)) return;
          if (++seen > 0) this.#takeChange(message, seen);
          else {
            const problem = this.#problemOfOpening(message);
            if (problem === undefined) resolve();
            else reject(new Error(problem));
          }
        },
        onEnd: (problem) => {
          const failure = `a watch ended: ${problem ?? "with grpc-status 0"}`;
          this.#counter.fail(failure);
          reject(new Error(failure)); // in vain once it was open
        },
      });
    });
  }

  #missing(arrived: number): string {
    const others = Object.keys(this.counters().failures).map((problem) => `; ${problem}`);
    return `${this.#count - arrived} of ${this.#count} watchers are without a change after ${this.#timeoutMs / 1_000} s${others.join("")}`;
  }

  #problemOfOpening(message: Buffer): string | undefined {
    if (this.#opening)
      return message.equals(this.#opening) ? undefined : "not told the same as the others";
    this.#opening = Buffer.from(message);
    return this.#publisher.problemOfOpening(message);
  }

  #takeChange(message: Buffer, seen: number): void {
    const change = this.#change;
    if (!change || seen !== this.#changes) {
      this.#counter.fail("a change that nobody made, or one that came twice");
      return;
    }
    change.arrivedAt.push(performance.now());
    if (change.message) {
      if (!message.equals(change.message)) this.#counter.fail("not told the same as the others");
    } else {
      change.message = Buffer.from(message);
      const problem = this.#publisher.problemOfChange(message);
      if (problem !== undefined) this.#counter.fail(problem);
    }
    this.#counter.done++;
    this.#counter.answerBytes += message.length;
    change.onArrival();
  }
}

function recorded(message: Buffer | undefined): Buffer {
  if (!message) throw new Error("nothing has come yet");
  return message;
}
