import { quantileOf } from "../statistics.js";
import { sleep, within } from "../waiting.js";
import { Connection, type Target } from "./connection.js";
import { Counter } from "./counter.js";
import { Service } from "./service.js";

export interface FleetOutcome {
  readonly services: number;
  /** Services whose first heartbeat was acknowledged. */
  readonly up: number;
  /** From the first connect to the last acknowledged first heartbeat. */
  readonly totalMs: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly failures: Readonly<Record<string, number>>;
}

const ANSWER_TIMEOUT_MS = 5_000;

/** Services that come all at once, each on a connection of its own, and stay. */
export class Fleet {
  readonly #counter = new Counter();
  readonly #up: Service[] = [];
  readonly #connections: Connection[] = [];
  #onSettled: () => void = () => {};
  #awaited = 0;

  constructor(readonly target: Target) {}

  /** Who is neither up nor failed by `timeoutMs` counts as failed. */
  async storm(services: number, timeoutMs: number): Promise<FleetOutcome> {
    const startedAt = performance.now();
    const upAfterMs: number[] = [];
    const settled = this.#settled(services);
    const onRenewed = (service: Service): void => {
      if (upAfterMs.length < services && service.heartbeatsSent === 1) {
        upAfterMs.push(performance.now() - startedAt);
        this.#up.push(service);
      }
      this.#settleOne();
    };
    const onFailed = (_: Service, problem: string): void => {
      this.#counter.fail(problem);
      this.#settleOne();
    };
    for (let index = 0; index < services; index++) {
      const connection = new Connection(this.target);
      this.#connections.push(connection);
      new Service(this.target, connection, index, { onRenewed, onFailed }).begin();
    }
    await within(settled, timeoutMs);
    const totalMs = performance.now() - startedAt;
    const missing = services - upAfterMs.length - this.#counter.failed;
    for (let i = 0; i < missing; i++) this.#counter.fail(`not up within ${timeoutMs / 1_000} s`);
    return {
      services,
      up: upAfterMs.length,
      totalMs,
      medianMs: quantileOf(upAfterMs, 0.5),
      p99Ms: quantileOf(upAfterMs, 0.99),
      failures: this.#counter.counters().failures,
    };
  }

  /** One heartbeat of everybody who is up, spread over `overMs`. Returns all failures so far. */
  async beatAll(overMs: number): Promise<Readonly<Record<string, number>>> {
    const settled = this.#settled(this.#up.length);
    const startedAt = performance.now();
    for (let sent = 0; sent < this.#up.length; ) {
      const due = Math.ceil(
        this.#up.length * Math.min(1, (performance.now() - startedAt) / overMs),
      );
      for (; sent < due; sent++) this.#up[sent]?.beat();
      await sleep(5);
    }
    if (!(await within(settled, ANSWER_TIMEOUT_MS)))
      for (let i = 0; i < this.#awaited; i++) this.#counter.fail("a heartbeat without an answer");
    return this.#counter.counters().failures;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  #settled(count: number): Promise<void> {
    this.#awaited = count;
    return new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  #settleOne(): void {
    if (--this.#awaited === 0) this.#onSettled();
  }
}
