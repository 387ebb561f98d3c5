import { describe, expect, it } from "vitest";
import type { Catalog } from "../../src/core/catalog.js";
import { isGone } from "../../src/core/service.js";
import { NODE_TTL_MS } from "../../src/store/node-queries.js";
import { FleetNode } from "../support/fleet-node.js";
import { ManualClock } from "../support/manual-clock.js";
import { ModelInstance } from "../support/model-instance.js";
import { seededRandom } from "../support/seeded-random.js";
import { SharedDatabase } from "../support/shared-memory-store.js";

const SEEDS = process.env.PULSE_SEED
  ? [Number(process.env.PULSE_SEED)]
  : Array.from({ length: 12 }, (_, i) => i + 1);
const NODES = 3;
const STATUSES = ["online", "degraded", "offline"] as const;
const TTLS_MS = [5_000, 15_000, 15_000, 6_000, 20_000];
const GRACE_MS = 3_000;
const RETURN_MS = 15_000;
const STEP_MS = 500;
const STEPS = 500;
/** Lateness of sweeps, polls and writes, in registry time. */
const SLACK_MS = 5_000;

/** Three nodes, five instances, and whatever may happen to them. */
class World {
  readonly clock = new ManualClock();
  readonly database = new SharedDatabase(this.clock);
  readonly nodes: FleetNode[] = [];
  readonly instances: ModelInstance[];
  readonly story: string[] = [];
  readonly violations: string[] = [];
  readonly random;
  /** The node that something is wrong with: one at a time. */
  #trouble: { readonly end: () => Promise<void> | void; readonly endsAt: number } | undefined;
  #outageEndsAt = 0;
  /** Until those who move have been heard at another node. */
  #calmUntil = 0;
  #checked = 0;
  /** Registry time at which an instance went for good. */
  readonly #goneAt = new Map<ModelInstance, number>();
  readonly #isLost = new Map<string, boolean>();

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.database.latencyMs = () => (this.#chance(0.7) ? 0 : this.random.next() * 40);
    this.instances = TTLS_MS.map(
      (ttlMs, n) => new ModelInstance(n, ttlMs, this.nodes, this.clock, this.random),
    );
  }

  #chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  #between(from: number, to: number): number {
    return from + this.random.next() * (to - from);
  }

  #tell(what: string): void {
    this.story.push(
      `${Math.round(this.clock.now())} (${Math.round(this.database.registryTimeMs)}) ${what}`,
    );
  }

  /** Time passes until it is there. */
  async #during<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    for (let ms = 0; !isDone; ms += 10) {
      if (ms > 60_000) throw new Error(`it takes for ever: ${this.story.at(-1)}`);
      await this.clock.advance(10);
    }
    return done;
  }

  async startNode(place: number): Promise<void> {
    const node = await this.#during(FleetNode.start(this.clock, this.database)).catch(
      () => undefined,
    );
    if (node) this.nodes[place] = node;
  }

  async begin(): Promise<void> {
    for (let place = 0; place < NODES; place++) await this.startNode(place);
    for (const instance of this.instances) instance.begin();
    await this.clock.advance(2_000);
  }

  async step(): Promise<void> {
    await this.#endTroubles();
    const isCalm = this.clock.now() < this.#calmUntil;
    if (!isCalm && !this.#trouble && this.#chance(0.1)) this.#makeTrouble();
    if (!isCalm && !this.database.isDown && this.#chance(0.01)) {
      this.database.failure = this.#chance(0.5) ? "silent" : "refused";
      this.database.isDown = true;
      this.#outageEndsAt = this.clock.now() + this.#between(500, 40_000);
      this.#tell(`the database is away, ${this.database.failure}`);
    }
    if (this.#chance(0.02)) this.database.hints = !this.database.hints;
    if (this.#chance(0.01)) {
      const outcome = this.#chance(0.5) ? "written" : "lost";
      this.#someNode()?.store.unknownOutcomes.push(outcome);
    }
    for (const instance of this.instances) this.#disturb(instance);
    await this.clock.advance(STEP_MS);
    this.#check();
  }

  #someNode(): FleetNode | undefined {
    return this.nodes[Math.floor(this.random.next() * this.nodes.length)];
  }

  #makeTrouble(): void {
    const place = Math.floor(this.random.next() * NODES);
    const node = this.nodes[place];
    if (!node) return;
    const kind = this.random.next();
    const start = () => this.startNode(place);
    if (kind < 0.2) {
      this.#tell(`node ${place} is killed`);
      node.kill();
      this.#endTroubleIn(this.#between(500, 15_000), start);
    } else if (kind < 0.35) {
      this.#tell(`node ${place} stops`);
      const stopped = node.stop();
      this.#endTroubleIn(this.#between(500, 5_000), async () => {
        await this.#during(stopped);
        await start();
      });
    } else if (kind < 0.7) {
      this.#tell(`node ${place} stands still`);
      node.pause();
      this.#endTroubleIn(this.#between(200, 25_000), () => node.resume());
    } else if (kind < 0.95) {
      this.database.failure = this.#chance(0.5) ? "silent" : "refused";
      this.#tell(`node ${place} is cut off, ${this.database.failure}`);
      node.store.isCutOff = true;
      this.#endTroubleIn(this.#between(200, 40_000), () => {
        node.store.isCutOff = false;
      });
    } else {
      this.#tell(`node ${place} cannot write`);
      node.store.failWrites = true;
      this.#endTroubleIn(this.#between(200, 2_000), () => {
        node.store.failWrites = false;
      });
    }
  }

  #endTroubleIn(ms: number, end: () => Promise<void> | void): void {
    this.#trouble = { end, endsAt: this.clock.now() + ms };
  }

  async #endTroubles(isAll = false): Promise<void> {
    if (this.database.isDown && (isAll || this.clock.now() >= this.#outageEndsAt)) {
      this.#tell("the database is back");
      this.database.isDown = false;
    }
    const trouble = this.#trouble;
    if (trouble && (isAll || this.clock.now() >= trouble.endsAt) && !this.database.isDown) {
      this.#tell("the node is well again");
      await trouble.end();
      this.#trouble = undefined;
    }
  }

  #disturb(instance: ModelInstance): void {
    if (instance.state === "gone") {
      if (!this.#chance(0.04)) return;
      this.#tell(`instance ${instance.n} begins anew`);
      instance.begin();
    } else if (this.#chance(0.02)) {
      // It has the grace, which it must not spend on a node that does not answer.
      if (this.#trouble || this.database.isDown) return;
      this.#tell(`instance ${instance.n} moves`);
      instance.move();
      this.#calmUntil = this.clock.now() + 1_500;
    } else if (this.#chance(0.01)) {
      instance.status = STATUSES[Math.floor(this.random.next() * STATUSES.length)] ?? "online";
      this.#tell(`instance ${instance.n} is ${instance.status}`);
    } else if (this.#chance(0.004)) {
      const how = this.#chance(0.5) ? "leaving" : "silent";
      this.#tell(`instance ${instance.n} is gone, ${how}`);
      instance.leave(how);
      this.#goneAt.set(instance, this.database.registryTimeMs);
    }
  }

  /** What was committed since the last look. */
  #check(): void {
    const { commits } = this.database;
    for (const { revision, reason, services } of commits.slice(this.#checked))
      for (const service of services) {
        const { id, instanceId, status, saidOffline } = service;
        const instance = this.instances[Number(instanceId.slice(1))];
        const said = `instance ${instanceId} ${status}${saidOffline ? ", it says" : ""} @${revision} (${reason})`;
        this.#tell(said);
        const isLost = isGone(service);
        if (isLost && this.#isLost.get(id)) this.violations.push(`twice: ${said}`);
        if (isLost && instance && !this.#goneAt.has(instance))
          this.violations.push(`though it lives: ${said}`);
        this.#isLost.set(id, isLost);
      }
    this.#checked = commits.length;
    for (const [instance, goneAt] of this.#goneAt) {
      if (instance.state === "alive") {
        if (instance.node) this.#goneAt.delete(instance);
        continue;
      }
      const row = [...this.database.services.values()].find(
        ({ record }) => record.instanceId === `i${instance.n}`,
      );
      const boundMs =
        instance.ttlMs + NODE_TTL_MS + Math.max(instance.ttlMs, RETURN_MS) + GRACE_MS + SLACK_MS;
      if (row && !isGone(row.record) && this.database.registryTimeMs - goneAt > boundMs)
        this.violations.push(
          `${this.story.length}: instance ${instance.n} is gone, and nobody has noticed`,
        );
    }
    for (const instance of this.instances)
      for (const complaint of instance.complaints.splice(0))
        this.violations.push(`${this.story.length}: instance ${instance.n}: ${complaint}`);
  }

  /** All is well again, and stays so for a while. */
  async calmDown(): Promise<void> {
    await this.#endTroubles(true);
    for (const { store } of this.nodes) store.unknownOutcomes.length = 0;
    for (let second = 0; second < 60; second++) {
      await this.clock.advance(1_000);
      this.#check();
    }
  }

  async end(): Promise<void> {
    for (const instance of this.instances) instance.leave("leaving");
    await this.#during(Promise.all(this.instances.map(({ ended }) => ended)));
    for (const node of this.nodes) await this.#during(node.stop());
    await this.clock.advance(2_000); // those whose patience lasts longer
  }
}

describe("three nodes, whatever happens to them", () => {
  it.each(SEEDS)(
    "let only those lapse that are gone, once, and agree in the end (seed %i)",
    async (seed) => {
      const world = new World(seed);
      await world.begin();
      for (let i = 0; i < STEPS && world.violations.length === 0; i++) await world.step();
      if (world.violations.length === 0) await world.calmDown();
      const lastOfStory = world.story.slice(-60).join("\n");
      expect(world.violations, lastOfStory).toEqual([]);
      const [first] = world.nodes;
      for (const node of world.nodes) {
        const { catalog } = node.engine.registry;
        expect(stateOf(catalog)).toEqual(stateOf((first as FleetNode).engine.registry.catalog));
        expect(catalog.stamp).toBe(world.database.stamp);
        node.heard.forEach((revision, i) => {
          if (i > 0 && node.reloads === 0)
            expect(revision).toBe((node.heard[i - 1] as bigint) + 1n);
        });
        expect(node.log.lines.filter(({ level }) => level === "error")).toEqual([]);
      }
      for (const instance of world.instances) {
        if (instance.state !== "alive") continue;
        expect(instance.node, `instance ${instance.n}\n${lastOfStory}`).toBeDefined();
        expect(first?.status(instance.n), lastOfStory).toMatch(RegExp(`^${instance.status}`));
      }
      await world.end();
      expect(world.clock.pending).toBe(0);
    },
  );
});

/** All that a catalog has, but for signs of life, which are no changes. */
function stateOf(catalog: Catalog) {
  const services = [...catalog.services()].map(
    ({ lastSeenAt: _, leaseExpiresAt: __, leaseCredited: ___, ...record }) => record,
  );
  return { services, entries: [...catalog.entries()].map(({ entry }) => entry) };
}
