import { ClosedLoop } from "./closed-loop.js";
import { Connection, type Target } from "./connection.js";
import { Service } from "./service.js";
import type { Shape } from "./unary-load.js";

/** Heartbeats over and over, each stream with the lease of a service of its own. */
export class HeartbeatLoad extends ClosedLoop<Service> {
  readonly ready: Promise<void>;

  constructor(target: Target, shape: Shape) {
    super();
    const expected = shape.connections * shape.streamsPerConnection;
    this.ready = new Promise((resolve, reject) => {
      const onRenewed = (service: Service, answerBytes: number): void => {
        this.counter.done++;
        this.counter.answerBytes += answerBytes;
        if (this.isRunning) this.send(service);
        else if (this.idle.push(service) === expected) resolve();
      };
      const onFailed = (_: Service, problem: string): void => {
        this.counter.fail(problem);
        reject(new Error(problem)); // too late to matter once it was ready
      };
      for (let i = 0; i < shape.connections; i++) {
        const connection = new Connection(target);
        this.connections.push(connection);
        for (let j = 0; j < shape.streamsPerConnection; j++) {
          const index = i * shape.streamsPerConnection + j;
          new Service(target, connection, index, { onRenewed, onFailed }).begin();
        }
      }
    });
  }

  protected send(service: Service): void {
    service.beat();
  }
}
