import type { ServiceStatus } from "../../src/core/service.js";
import { type Clock, sleep } from "../../src/lib/clock.js";
import type { Random } from "../../src/lib/random.js";
import { RecordingStream } from "./fleet.js";
import type { FleetNode } from "./fleet-node.js";

/** An answer that does not come within this time is given up, in ms. */
const PATIENCE_MS = 1_500;
const LOOK_MS = 100;

/** One instance as a client behaves: it heartbeats on one node, and goes to the next when that fails. */
export class ModelInstance {
  /** What it should not have been told. */
  readonly complaints: string[] = [];
  leaseId = "";
  /** Where its heartbeats are acknowledged. */
  node: FleetNode | undefined;
  state: "alive" | "moving" | "leaving" | "silent" | "gone" = "gone";
  /** How it is: it says so with the first heartbeat of each stream and lease, and when it changes. */
  status: ServiceStatus = "online";
  #turn = 0;
  #living = Promise.resolve();

  constructor(
    readonly n: number,
    readonly ttlMs: number,
    private readonly nodes: readonly FleetNode[],
    private readonly clock: Clock,
    private readonly random: Random,
  ) {
    this.#turn = n;
  }

  /** Registers, and stays until it is told to go. */
  begin(): void {
    this.state = "alive";
    this.leaseId = "";
    this.#living = this.#live();
  }

  /** Ends its stream and goes to the next node. */
  move(): void {
    if (this.state === "alive") this.state = "moving";
  }

  /** For good: with the end of its stream, or without a trace. */
  leave(how: "leaving" | "silent"): void {
    if (this.state === "alive" || this.state === "moving") this.state = how;
  }

  get ended(): Promise<void> {
    return this.#living;
  }

  async #live(): Promise<void> {
    while (this.#wants) {
      const node = this.#nextNode();
      const stream = new RecordingStream();
      if (node) await this.#stayAt(node, stream);
      if (node && this.state !== "silent") this.#breakStream(node, stream);
      this.node = undefined;
      if (this.state === "moving") this.state = "alive";
      if (this.#wants) await sleep(this.clock, 50 + this.random.next() * 400);
    }
    this.state = "gone";
  }

  get #wants(): boolean {
    return this.state === "alive" || this.state === "moving";
  }

  async #stayAt(node: FleetNode, stream: RecordingStream): Promise<void> {
    let said: ServiceStatus | undefined;
    while (this.state === "alive") {
      if (this.leaseId === "") {
        const service = await this.#ask(node, stream, () =>
          node.register(this.n, { ttlMs: this.ttlMs }),
        );
        if (!service) return;
        this.leaseId = service.leaseId;
        said = "online";
      }
      const { status } = this;
      const news = status === said ? {} : { status, statusReason: `says ${status}` };
      const outcome = await this.#ask(node, stream, () => node.beat(this.leaseId, stream, news));
      if (!outcome) return;
      if (outcome.kind === "lost") {
        // A Register of its own that it had given up may be carried out later.
        if (outcome.reason !== "superseded") this.complaints.push(`lease lost: ${outcome.reason}`);
        this.leaseId = "";
        continue;
      }
      this.node = node;
      said = status;
      const nextAt = this.clock.now() + this.ttlMs / 3;
      while (this.clock.now() < nextAt) {
        await sleep(this.clock, LOOK_MS);
        if (node.state === "gone" || this.state !== "alive") return;
        if (stream.lost.length > 0) break;
      }
    }
  }

  /** Undefined: it is refused, or not answered. What was sent arrives all the same, if the node is there again. */
  async #ask<T>(
    node: FleetNode,
    stream: RecordingStream,
    call: () => Promise<T>,
  ): Promise<T | undefined> {
    let isGivenUp = false;
    const answer = node
      .whenRunning()
      .then(call)
      .catch(() => undefined)
      .then(async (value) => {
        await node.whenRunning();
        if (isGivenUp) this.#breakStream(node, stream);
        return value;
      });
    const silence = sleep(this.clock, PATIENCE_MS).then(() => {
      isGivenUp = true;
      return undefined;
    });
    return Promise.race([answer, silence]);
  }

  #breakStream(node: FleetNode, stream: RecordingStream): void {
    const { leaseId } = this;
    if (node.state === "gone") return;
    void node.whenRunning().then(() => node.engine.leases.streamBroke(stream, [leaseId]));
  }

  #nextNode(): FleetNode | undefined {
    const there = this.nodes.filter(({ state }) => state !== "gone");
    return there[this.#turn++ % there.length];
  }
}
