import { DEFAULT_LEASE_POLICY, type LeasePolicy } from "../../src/core/lease.js";
import { type RegisterRequest, register } from "../../src/core/registration.js";
import type { Clock } from "../../src/lib/clock.js";
import { type Engine, startEngine } from "../../src/pulse/engine.js";
import { DEFAULT_HISTORY_POLICY } from "../../src/pulse/history.js";
import type { HeartbeatOutcome, HeartbeatReport } from "../../src/pulse/leases.js";
import type { LeaseStream } from "../../src/pulse/live-lease.js";
import { DEFAULT_WATCH_POLICY } from "../../src/pulse/watch-hub.js";
import { registerRequest } from "./decisions.js";
import { RecordingStream } from "./fleet.js";
import { settle } from "./manual-clock.js";
import { NodeClock } from "./node-clock.js";
import { recordingLog } from "./recording-log.js";
import { seededRandom } from "./seeded-random.js";
import type { SharedDatabase, SharedMemoryStore } from "./shared-memory-store.js";

let runs = 0;

/** One run of a Pulse that shares a database with others: all of it but the wire. It can be paused, cut off and killed. */
export class FleetNode {
  readonly log = recordingLog();
  /** Revisions, as its listeners heard of them. */
  readonly heard: bigint[] = [];
  /** How often all was loaded anew. */
  reloads = 0;
  readonly clock: NodeClock;
  readonly store: SharedMemoryStore;
  engine!: Engine;
  state: "running" | "paused" | "gone" = "running";
  #running: Promise<void> = Promise.resolve();
  #resume = () => {};

  private constructor(world: Clock, database: SharedDatabase) {
    this.clock = new NodeClock(world);
    this.store = database.open();
  }

  static async start(
    world: Clock,
    database: SharedDatabase,
    policy: Partial<LeasePolicy> = {},
  ): Promise<FleetNode> {
    const node = new FleetNode(world, database);
    const { store, clock, log } = node;
    node.engine = await startEngine({
      store,
      port: 0,
      policy: { ...DEFAULT_LEASE_POLICY, ...policy },
      history: DEFAULT_HISTORY_POLICY,
      watch: DEFAULT_WATCH_POLICY,
      forgetAfterMs: Number.POSITIVE_INFINITY,
      clock,
      random: seededRandom(1_000 + ++runs),
      log,
      onHold: () => {},
    });
    const { registry } = node.engine;
    registry.onCommit(({ revision }) => void node.heard.push(revision));
    registry.onReload(({ revision }) => {
      node.reloads++;
      node.heard.push(revision);
    });
    return node;
  }

  /** Registers instance `n`, and resolves to its service as recorded. */
  async register(n: number, change: Partial<RegisterRequest> = {}) {
    const request = registerRequest({
      instanceId: `i${n}`,
      secretHash: `h${n}`,
      verifiedAt: (service) => this.engine.leases.verifiedAt(service),
      ...change,
    });
    const outcome = this.engine.registry.run(
      register(request, (secret) => secret, { maxServices: 1_000_000 }),
    );
    outcome.catch(() => {});
    await settle();
    return (await outcome).service;
  }

  /** As a heartbeat stream does. */
  async beat(
    leaseId: string,
    stream: LeaseStream = new RecordingStream(),
    said: Partial<HeartbeatReport> = {},
  ): Promise<HeartbeatOutcome> {
    const { leases } = this.engine;
    const silent = { status: undefined, statusReason: "", load: undefined, isVerified: false };
    const report = { ...silent, ...said, leaseId };
    const outcome = leases.renew(report, stream);
    if (outcome.kind === "renewed" || outcome.reason !== "unknown") return outcome;
    await leases.catchUp();
    return leases.renew(report, stream);
  }

  status(n: number): string {
    const service = this.engine.registry.catalog.serviceByInstance(`i${n}`);
    return service ? `${service.status}: ${service.statusReason}` : "none";
  }

  pause(): void {
    this.state = "paused";
    this.clock.pause();
    this.store.pause();
    this.#running = new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.state = "running";
    this.clock.resume();
    this.store.resume();
    this.#resume();
  }

  /** Once it runs: what was sent to it meanwhile waits in its sockets. Never if it is gone. */
  async whenRunning(): Promise<void> {
    while (this.state !== "running") await this.#running;
  }

  /** SIGKILL. */
  kill(): void {
    this.state = "gone";
    this.clock.kill();
    this.store.pause();
    this.store.isCutOff = true;
    this.#running = new Promise(() => {});
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    const { engine } = this;
    await engine.holdStill();
    engine.drain(1_000);
    this.state = "gone";
    this.#running = new Promise(() => {});
    for (const { record, link } of engine.leases.all())
      if (link.name === "attached") engine.leases.streamBroke(link.stream, [record.leaseId]);
    await engine.stop();
    await this.store.close();
  }
}
