import type { MemberEvent, Members, MembersConfig } from "./members.js";
import type { Stack } from "./stack.js";

/** No process needs many more file descriptors than this, nor stands still for long. */
const PER_PROCESS = 500;

/** As many members as wanted, each on a connection of its own, in a few processes. */
export class MemberFleet {
  private constructor(readonly processes: readonly Members[]) {}

  /** Resolves when all have begun; see `areRegistered`. */
  static async start(
    stack: Stack,
    size: number,
    config: Partial<MembersConfig> = {},
    perProcess = PER_PROCESS,
  ): Promise<MemberFleet> {
    const { prefix = "member" } = config;
    const starting = Array.from({ length: Math.ceil(size / perProcess) }, (_, n) =>
      stack.startMembers({
        ...config,
        prefix: `${prefix}-${n}`,
        count: Math.min(perProcess, size - n * perProcess),
      }),
    );
    return new MemberFleet(await Promise.all(starting));
  }

  get size(): number {
    return this.processes.reduce((size, { names }) => size + names.length, 0);
  }

  /** All since then, process by process. */
  events(sinceAt = 0): readonly MemberEvent[] {
    return this.processes.flatMap((members) => members.events().filter(({ at }) => at >= sinceAt));
  }

  async areRegistered(withinMs?: number): Promise<void> {
    await Promise.all(this.processes.map((members) => members.areRegistered(withinMs)));
  }

  /** Waits for an event of that type since `sinceAt`, of each member, and returns the first ones. */
  async each(
    type: MemberEvent["type"],
    sinceAt: number,
    withinMs?: number,
  ): Promise<readonly MemberEvent[]> {
    const each = this.processes.map((members) => members.each(type, sinceAt, withinMs));
    return (await Promise.all(each)).flat();
  }
}
