import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/lib/random.js";
import type { Churn } from "./churn.js";
import type { Members } from "./members.js";
import type { Stack } from "./stack.js";

/** The shortest that Pulse grants, so that much happens in little time. */
const TTL_MS = 5_000;
const HEARTBEAT_MS = TTL_MS / 3;
const COUNT = 8;

/** Services in processes that are killed, that stand still, and whose keys are changed. */
export class LivelyMembers {
  readonly #stack: Stack;
  readonly #random: Random;
  #killed!: Members;
  #stopped!: Members;
  #steady!: Members;

  private constructor(stack: Stack, random: Random) {
    this.#stack = stack;
    this.#random = random;
  }

  static async create(stack: Stack, churn: Churn, random: Random): Promise<LivelyMembers> {
    const members = new LivelyMembers(stack, random);
    members.#killed = await members.#begin("killed");
    members.#stopped = await members.#begin("stopped");
    members.#steady = await members.#begin("steady");
    await members.areRegistered();
    churn.add("services killed and started again", 2_000, () => members.#kill());
    churn.add("services stopped past their TTL and woken", 3_000, () => members.#stop());
    churn.add("API keys rotated", 200, () => members.#rotate());
    churn.add("health and load reported", 200, () => members.#report());
    return members;
  }

  async areRegistered(): Promise<void> {
    for (const each of [this.#killed, this.#stopped, this.#steady])
      await each.areRegistered(60_000);
  }

  #begin(prefix: string): Promise<Members> {
    return this.#stack.startMembers({ prefix, count: COUNT, ttlMs: TTL_MS });
  }

  async #kill(): Promise<number> {
    await this.#killed.kill();
    this.#killed = await this.#begin("killed");
    await this.#killed.areRegistered(60_000);
    return COUNT;
  }

  async #stop(): Promise<number> {
    const { program } = this.#stopped;
    program.kill("SIGSTOP");
    await sleep(TTL_MS + 1_000 * this.#random.next());
    program.kill("SIGCONT");
    // They have heard by then if their leases are lost, which Pulse may hold back.
    await sleep(HEARTBEAT_MS);
    await this.#stopped.areRegistered(60_000);
    return COUNT;
  }

  async #rotate(): Promise<number> {
    const apiKey = `a new key ${Math.floor(this.#random.next() * 10)}`;
    const change = { credentials: { username: "admin", apiKey } };
    this.#steady.command({ do: "update", member: this.#one(), change });
    return 1;
  }

  async #report(): Promise<number> {
    const status = this.#random.next() < 0.5 ? "online" : "degraded";
    const load = { active: Math.floor(this.#random.next() * 10) };
    const report = { health: { status }, load } as const;
    this.#steady.command({ do: "report", member: this.#one(), report });
    return 1;
  }

  #one(): string {
    return `steady-${Math.floor(this.#random.next() * COUNT)}`;
  }
}
