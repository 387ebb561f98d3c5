import { ClosedLoop } from "./closed-loop.js";
import { Connection, type Target } from "./connection.js";

export interface UnaryCalls {
  readonly path: string;
  /** Sent in turn. */
  readonly requests: readonly Uint8Array[];
  /** What is wrong with an answer, if anything. Asked for every 64th, since it costs. */
  readonly problemOf: (answer: Buffer, requestIndex: number) => string | undefined;
}

export interface Shape {
  readonly connections: number;
  readonly streamsPerConnection: number;
}

const CHECK_EVERY = 64;

/** Unary calls over and over, `connections` × `streamsPerConnection` of them in flight. */
export class UnaryLoad extends ClosedLoop<Connection> {
  readonly ready: Promise<void>;
  #calls = 0;

  constructor(
    readonly target: Target,
    readonly unary: UnaryCalls,
    shape: Shape,
  ) {
    super();
    const connected: Promise<void>[] = [];
    for (let i = 0; i < shape.connections; i++)
      connected.push(
        new Promise((resolve, reject) => {
          const connection = new Connection(target, {
            onConnect: resolve,
            onBreak: (problem) => reject(new Error(problem)), // in vain once it was connected
          });
          this.connections.push(connection);
          for (let j = 0; j < shape.streamsPerConnection; j++) this.idle.push(connection);
        }),
      );
    this.ready = Promise.all(connected).then(() => {});
  }

  protected send(connection: Connection): void {
    const requestIndex = this.#calls % this.unary.requests.length;
    const isChecked = this.#calls++ % CHECK_EVERY === 0;
    const request = this.unary.requests[requestIndex] ?? new Uint8Array();
    const sentAt = performance.now();
    let messages = 0;
    let wrong: string | undefined;
    connection.callOnce(this.unary.path, request, {
      onMessage: (answer) => {
        messages++;
        this.counter.answerBytes += answer.length;
        if (this.target.isEcho) wrong = answer.equals(request) ? undefined : "a changed echo";
        else if (isChecked) wrong = this.unary.problemOf(answer, requestIndex);
      },
      onEnd: (problem) => {
        const failure = problem ?? wrong ?? (messages === 1 ? undefined : `${messages} answers`);
        this.times.push(performance.now() - sentAt);
        if (failure === undefined) this.counter.done++;
        else this.counter.fail(failure);
        // A call that failed is not followed by another: a dead server would be asked for ever.
        if (this.isRunning && failure === undefined) this.send(connection);
        else this.idle.push(connection);
      },
    });
  }
}
