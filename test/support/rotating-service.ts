import type { ProgramGroup, RunningProgram } from "./processes.js";

/** What the program `rotating-service` is started with. */
export interface RotatingServiceConfig {
  readonly pulse: string;
  readonly token: string;
  /** Of the service, and its instance id. */
  readonly name: string;
  /** Of its qBittorrent, and how to log in there now. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

/** When it did what, as `monotonicNow` tells it. */
export interface Rotation {
  /** Before and after qBittorrent was told: the password changed in between. */
  readonly askedAt: number;
  readonly changedAt: number;
  /** When Pulse had acknowledged it. */
  readonly updatedAt: number;
}

/** A service, in a process of its own, that gives its qBittorrent other passwords. */
export class RotatingService {
  private constructor(private readonly program: RunningProgram) {}

  /** Resolves when it is registered. */
  static async start(group: ProgramGroup, config: RotatingServiceConfig): Promise<RotatingService> {
    const program = group.startScript("rotating-service", [JSON.stringify(config)]);
    await program.line("service.registered");
    return new RotatingService(program);
  }

  /** One at a time. Resolves when Pulse has acknowledged it. */
  async rotate(password: string): Promise<Rotation> {
    const from = this.program.lines.length;
    this.program.write(password);
    const [rotated, updated] = await Promise.all([
      this.program.line("service.rotated", from),
      this.program.line("service.updated", from),
    ]);
    const { askedAt, changedAt } = rotated as unknown as Rotation;
    return { askedAt, changedAt, updatedAt: Number(updated.at) };
  }
}
