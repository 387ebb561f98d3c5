import { setTimeout as sleep } from "node:timers/promises";
import { quantileOf } from "../../bench/statistics.js";
import { type Registration, startRegistration } from "../../src/client/index.js";
import { HeartbeatClient } from "./heartbeat-client.js";
import { monotonicNow } from "./members.js";
import { HAUL } from "./pulse.js";
import type { Stack } from "./stack.js";

const LIST_EACH_MS = 50;
const BEAT_EACH_MS = 50;
const REGISTER_EACH_MS = 100;

export interface Latency {
  readonly calls: number;
  /** Ms. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * What stands beside an attack and must not feel it: a service that stays registered, and
 * one that registers, sends heartbeats and lists all the time.
 */
export class GoodClient {
  #latencies: number[] = [];
  /** When each call began that is not answered yet. */
  readonly #unanswered = new Map<string, number>();
  readonly #failures: string[] = [];
  readonly #losses: string[] = [];
  readonly #running: Promise<void>[] = [];
  #isStopped = false;

  private constructor(private readonly service: Registration) {
    service.subscribe((event) => {
      if (event.type !== "updated") this.#losses.push(event.type);
    });
  }

  static async start(stack: Stack, name = "good"): Promise<GoodClient> {
    const service = { ...HAUL.service, name };
    const registration = startRegistration({
      pulse: stack.url,
      token: await stack.token(),
      service,
      identity: { instanceId: name, instanceSecret: `the secret of ${name}` },
    });
    await new Promise<void>((resolve) => {
      registration.subscribe(({ type }) => type === "registered" && resolve());
    });
    const client = new GoodClient(registration);
    await client.#begin(stack, name);
    return client;
  }

  async #begin(stack: Stack, name: string): Promise<void> {
    const { registry, downloadClients } = stack.connect();
    const caller = `${name}-caller`;
    const register = () =>
      registry.register({
        service: { ...HAUL.service, name: caller },
        instanceId: caller,
        instanceSecret: `the secret of ${caller}`,
      });
    const beater = `${name}-beater`;
    const { lease } = await registry.register({
      service: { ...HAUL.service, name: beater },
      instanceId: beater,
      instanceSecret: `the secret of ${beater}`,
    });
    const beats = new HeartbeatClient(registry);
    let sequence = 0n;
    const beat = async () => {
      sequence += 1n;
      const event = await beats.beat({ leaseId: lease?.id ?? "", sequence });
      if (event.case !== "renewed") this.#losses.push(`${event.case}`);
    };
    this.#running.push(
      this.#repeat("register", register, REGISTER_EACH_MS),
      this.#repeat("heartbeat", beat, BEAT_EACH_MS),
      this.#repeat("list", () => downloadClients.listDownloadClients({}), LIST_EACH_MS),
    );
  }

  async #repeat(what: string, call: () => Promise<unknown>, eachMs: number): Promise<void> {
    while (!this.#isStopped) {
      const startedAt = monotonicNow();
      this.#unanswered.set(what, startedAt);
      try {
        await call();
        this.#latencies.push(monotonicNow() - startedAt);
      } catch (error) {
        if (this.#isStopped) return;
        this.#failures.push(`${what}: ${error}`);
      }
      this.#unanswered.delete(what);
      await sleep(eachMs);
    }
  }

  /** What went wrong so far: calls that failed, and anything but a heartbeat that was answered. */
  get failures(): readonly string[] {
    return [...this.#failures, ...this.#losses];
  }

  /** Of the calls since it was asked last. One that still waits counts as if it were answered now. */
  latency(): Latency {
    const now = monotonicNow();
    const waits = [...this.#unanswered.values()].map((startedAt) => now - startedAt);
    const latencies = [...this.#latencies, ...waits];
    this.#latencies = [];
    return {
      calls: latencies.length,
      p50: quantileOf(latencies, 0.5),
      p99: quantileOf(latencies, 0.99),
      max: Math.max(...latencies),
    };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.service.close();
  }
}
