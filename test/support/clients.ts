import { eventually } from "./eventually.js";
import type { RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";

/** They tell something four times a second: a process that hangs is noticed by its silence. */
const PATIENCE_MS = 30_000;

/** What the program `clients` is started with. */
export interface ClientsConfig {
  readonly token: string;
  /** Where they find Pulse: each kind takes these in turn, one for each client. */
  readonly ports: readonly number[];
  /** Of their names, which are their instance ids, too. */
  readonly prefix: string;
  readonly members: number;
  readonly watches: number;
  readonly callers: number;
  readonly ttlMs?: number;
}

/** A line that the program `clients` understands. */
export interface ClientsCommand {
  readonly do: "rest" | "go-on";
}

/** How often a client has lost Pulse. */
export type Losses = Readonly<Record<"members" | "watches" | "callers", number>>;

interface Tale {
  /** How many have what they want now. */
  readonly well: number;
  readonly losses: Losses;
}

/** Clients of every kind, in a process of their own: see `programs/clients.ts`. */
export class Clients {
  private constructor(
    readonly program: RunningProgram,
    private readonly count: number,
  ) {}

  /** Resolves when it has begun; see `areWell`. */
  static async start(
    stack: Stack,
    config: Omit<ClientsConfig, "token" | "prefix"> & { readonly prefix?: string },
    env: Readonly<Record<string, string>> = {},
  ): Promise<Clients> {
    const whole: ClientsConfig = { prefix: "client", ...config, token: await stack.token() };
    const program = stack.group.startScript("clients", [JSON.stringify(whole)], env);
    await program.line("clients", 0, PATIENCE_MS);
    return new Clients(program, config.members + config.watches + config.callers);
  }

  get losses(): Losses {
    return this.#newest.losses;
  }

  /** All together. */
  get lossCount(): number {
    const { members, watches, callers } = this.losses;
    return members + watches + callers;
  }

  /** Waits until all have what they want. */
  async areWell(withinMs = 30_000): Promise<void> {
    await this.#told();
    await eventually(() => {
      const { well } = this.#newest;
      if (well < this.count) throw new Error(`only ${well} of ${this.count} clients are well`);
    }, withinMs);
  }

  /** Meanwhile callers call nobody, and members and watches go on. */
  async whileResting<T>(look: () => Promise<T>): Promise<T> {
    this.program.write(JSON.stringify({ do: "rest" } satisfies ClientsCommand));
    await this.program.line("resting", this.program.lines.length);
    try {
      return await look();
    } finally {
      this.program.write(JSON.stringify({ do: "go-on" } satisfies ClientsCommand));
    }
  }

  /** Waits until they have lost so much, all together. Rejects when nothing is heard of them. */
  async haveLost(count: number): Promise<void> {
    while (this.lossCount < count) await this.#told();
  }

  /** Waits for what they tell next. */
  async #told(): Promise<void> {
    await this.program.line("clients", this.program.lines.length, PATIENCE_MS);
  }

  get #newest(): Tale {
    const newest = this.program.lines.findLast(({ msg }) => msg === "clients");
    return newest as unknown as Tale;
  }
}
