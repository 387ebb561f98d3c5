import { type Members, type MembersConfig, monotonicNow } from "./members.js";
import { MovingNames } from "./preload.js";
import type { RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";

const NAME = "pulse.test";
const OLD = "127.0.0.1";
const NEW = "127.0.0.2";

/** A Pulse that members know by its name, and that goes on at another address on the same data. */
export class MovingPulse {
  private constructor(
    private readonly stack: Stack,
    private readonly port: number,
    private readonly pulse: RunningProgram,
    private readonly names: MovingNames,
    readonly members: Members,
  ) {}

  /**
   * Pulse is at 127.0.0.1, the members are registered.
   * @param port where its name says it is: the stack's, or one in front of that
   */
  static async start(
    stack: Stack,
    port: number,
    config: Partial<MembersConfig>,
  ): Promise<MovingPulse> {
    const pulse = await stack.startPulse();
    const names = await MovingNames.create(stack.group.directory, { [NAME]: [OLD] });
    const members = await stack.startMembers(
      { pulse: `http://${NAME}:${port}`, ...config },
      names.env,
    );
    await members.areRegistered();
    return new MovingPulse(stack, port, pulse, names, members);
  }

  /** Kills Pulse and starts it at the same port of 127.0.0.2. */
  async appearElsewhere(): Promise<void> {
    this.pulse.kill("SIGKILL");
    await this.pulse.exit;
    await this.stack.startPulse({}, ["--listen", `${NEW}:${this.port}`]);
  }

  /** From now on the name means the new address. Returns the moment. */
  async rename(): Promise<number> {
    const renamedAt = monotonicNow();
    await this.names.set({ [NAME]: [NEW] });
    return renamedAt;
  }

  /** How long after `since` the last member was there with the lease that it had, ms. */
  async reattachedMs(since: number): Promise<number> {
    const back = await this.members.each("reconnected", since, 30_000);
    for (const { member, endpoint, registeredAnew } of back)
      if (endpoint !== `${NEW}:${this.port}` || registeredAnew)
        throw new Error(`${member} is at ${endpoint}, registered anew: ${registeredAnew}`);
    return Math.max(...back.map(({ at }) => at - since));
  }
}
