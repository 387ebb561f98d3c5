import { Connection, type Target } from "./connection.js";
import { Counter } from "./counter.js";
import type { Counters, Load } from "./load.js";
import { Service } from "./service.js";
import type { Shape } from "./unary-load.js";

/** Heartbeats over and over, each stream with the lease of a service of its own. */
export class HeartbeatLoad implements Load {
  readonly ready: Promise<void>;
  readonly #counter = new Counter();
  readonly #connections: Connection[] = [];
  readonly #idle: Service[] = [];
  #isRunning = false;

  constructor(target: Target, shape: Shape) {
    const expected = shape.connections * shape.streamsPerConnection;
    this.ready = new Promise((resolve, reject) => {
      const onRenewed = (service: Service, answerBytes: number): void => {
        this.#counter.done++;
        this.#counter.answerBytes += answerBytes;
        if (this.#isRunning) service.beat();
        else if (this.#idle.push(service) === expected) resolve();
      };
      const onFailed = (_: Service, problem: string): void => {
        this.#counter.fail(problem);
        reject(new Error(problem)); // too late to matter once it was ready
      };
      for (let i = 0; i < shape.connections; i++) {
        const connection = new Connection(target);
        this.#connections.push(connection);
        for (let j = 0; j < shape.streamsPerConnection; j++) {
          const index = i * shape.streamsPerConnection + j;
          new Service(target, connection, index, { onRenewed, onFailed }).begin();
        }
      }
    });
  }

  start(): void {
    this.#isRunning = true;
    for (const service of this.#idle.splice(0)) service.beat();
  }

  stop(): void {
    this.#isRunning = false;
  }

  counters(): Counters {
    return this.#counter.counters();
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
