import type { Connection } from "./connection.js";
import { Counter } from "./counter.js";
import type { Counters, Load } from "./load.js";

/** A load of slots, each of which sends its next request when the last is answered. */
export abstract class ClosedLoop<Slot> implements Load {
  abstract readonly ready: Promise<void>;
  protected readonly counter = new Counter();
  protected readonly connections: Connection[] = [];
  protected readonly idle: Slot[] = [];
  protected isRunning = false;
  protected times: number[] = [];

  /** Sends the next request of a slot. */
  protected abstract send(slot: Slot): void;

  start(): void {
    this.isRunning = true;
    for (const slot of this.idle.splice(0)) this.send(slot);
  }

  stop(): void {
    this.isRunning = false;
  }

  counters(): Counters {
    return this.counter.counters();
  }

  takeTimes(): readonly number[] {
    const taken = this.times;
    this.times = [];
    return taken;
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}
