import type {
  RegistrationEvent,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "../../src/client/index.js";
import { eventually } from "./eventually.js";
import type { Exit, ProgramGroup, RunningProgram } from "./processes.js";

/** A loaded machine takes its time to compile a script. */
const START_MS = 60_000;

/** What the program `members` is started with. */
export interface MembersConfig {
  /** One for all, or one for each member. */
  readonly pulse: string | readonly string[];
  /** The token, or a file that is read before each attempt. */
  readonly token: string | { readonly file: string };
  /** Members are called `prefix-0` and so on; that is their instance id, too. */
  readonly prefix: string;
  readonly count: number;
  readonly service: Omit<ServiceDescription, "name">;
  readonly apiKey?: string;
  readonly ttlMs?: number;
  readonly standaloneAfterMs?: number;
}

/** A line that the program `members` understands. */
export type MembersCommand =
  | {
      readonly do: "update";
      readonly member: string;
      readonly change: {
        readonly service?: ServiceDescription;
        readonly credentials?: ServiceCredentials;
      };
    }
  | {
      readonly do: "report";
      readonly member: string;
      readonly report: { readonly health?: ServiceHealth; readonly load?: ServiceLoad };
    }
  | { readonly do: "close" };

/** What happened to a member, and when. */
export interface MemberEvent {
  /** As `monotonicNow` tells it. */
  readonly at: number;
  readonly member: string;
  readonly type: RegistrationEvent["type"];
  readonly endpoint?: string;
  readonly retryInMs?: number;
  readonly registeredAnew?: boolean;
  readonly error?: string;
  readonly serviceId?: string;
  readonly instanceId?: string;
  readonly leaseId?: string;
  readonly generation?: string;
  readonly epoch?: string;
  readonly entryName?: string;
}

const QBITTORRENT = {
  type: "download-client",
  kind: "qbittorrent",
  apiUrl: "http://192.168.1.10:8080",
} as const;

/** Ms of the host's monotonic clock, the same in all its processes. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** How long after `since` the last of these events was, ms. */
export function slowestMs(events: readonly MemberEvent[], since: number): number {
  return Math.max(...events.map(({ at }) => at - since));
}

/** Services that stay registered, in a process of their own: see `programs/members.ts`. */
export class Members {
  private constructor(
    readonly program: RunningProgram,
    readonly names: readonly string[],
  ) {}

  /** Resolves when it has begun; see `areRegistered`. */
  static async start(
    group: ProgramGroup,
    config: Omit<MembersConfig, "service"> & { readonly service?: MembersConfig["service"] },
    env: Readonly<Record<string, string>> = {},
  ): Promise<Members> {
    const whole: MembersConfig = { service: QBITTORRENT, ...config };
    const program = group.startScript("members", [JSON.stringify(whole)], env);
    await program.line("members.started", 0, START_MS);
    const names = Array.from({ length: config.count }, (_, n) => `${config.prefix}-${n}`);
    return new Members(program, names);
  }

  /** All so far, of all members or of one, in the order of time. */
  events(member?: string): readonly MemberEvent[] {
    const events = this.program.lines.filter(({ msg }) => msg === "member");
    return (events as unknown as readonly MemberEvent[]).filter(
      (event) => member === undefined || event.member === member,
    );
  }

  /** When a member was about to call Pulse, by `monotonicNow`, if its token is read from a file. */
  attemptsAt(member: string): readonly number[] {
    return this.program.lines
      .filter((line) => line.msg === "token-asked" && line.member === member)
      .map(({ at }) => Number(at));
  }

  /** The newest event of each member that changes its state. */
  newest(): ReadonlyMap<string, MemberEvent> {
    const newest = new Map<string, MemberEvent>();
    for (const event of this.events())
      if (event.type !== "attempt-failed" && event.type !== "updated")
        newest.set(event.member, event);
    return newest;
  }

  /** Waits until all have a lease and heartbeats are answered; those that came back, too. */
  areRegistered(withinMs = 15_000): Promise<void> {
    return eventually(() => {
      const newest = this.newest();
      const away = this.names.filter((name) => !isAttached(newest.get(name)));
      if (away.length === 0) return;
      const states = away.slice(0, 5).map((name) => {
        const { type, error = "" } = this.events(name).at(-1) ?? {};
        return `${name}: ${type} ${error}`;
      });
      throw new Error(`${away.length} are not registered: ${states}`);
    }, withinMs);
  }

  /** Waits for an event of that type since `sinceAt`, of each member, and returns the first ones. */
  each(
    type: MemberEvent["type"],
    sinceAt: number,
    withinMs = 15_000,
  ): Promise<readonly MemberEvent[]> {
    return eventually(() => {
      const first = new Map<string, MemberEvent>();
      for (const event of this.events())
        if (event.type === type && event.at >= sinceAt && !first.has(event.member))
          first.set(event.member, event);
      const missing = this.names.filter((name) => !first.has(name));
      if (missing.length > 0)
        throw new Error(`${missing.length} are not ${type}, such as ${missing[0]}`);
      return [...first.values()];
    }, withinMs);
  }

  command(command: MembersCommand): void {
    this.program.write(JSON.stringify(command));
  }

  /** They say goodbye. */
  close(): Promise<Exit> {
    this.command({ do: "close" });
    return this.program.exit;
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.exit;
  }
}

function isAttached(event: MemberEvent | undefined): boolean {
  return event?.type === "registered" || event?.type === "reconnected";
}
