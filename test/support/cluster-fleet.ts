import { type Registration, startRegistration } from "../../src/client/index.js";
import { eventually } from "./eventually.js";

export interface FleetMemberOptions {
  readonly addresses: string;
  readonly token: string;
  readonly ttlMs: number;
}

/** A service that stays registered by itself, in this process. */
export class FleetMember {
  readonly #registration: Registration;
  /** When it has lost its stream, and when it was back, in turn. */
  readonly absences: { readonly lostAt: number; backAt?: number }[] = [];
  /** What must not happen to it: that it is told its lease is lost, and the like. */
  readonly broken: string[] = [];
  /** Address and port of the node that it is on. */
  endpoint = "";

  constructor(
    readonly name: string,
    { addresses, token, ttlMs }: FleetMemberOptions,
  ) {
    this.#registration = startRegistration({
      pulse: addresses,
      token,
      ttlMs,
      service: {
        name,
        type: "download-client",
        kind: "qbittorrent",
        apiUrl: "http://192.168.1.10:8080",
      },
      credentials: { username: "admin", apiKey: `key of ${name}` },
      identity: { instanceId: name, instanceSecret: `the secret of ${name}` },
    });
    this.#registration.subscribe((event) => {
      switch (event.type) {
        case "registered":
          this.endpoint = event.endpoint ?? "";
          return;
        case "disconnected":
          this.absences.push({ lostAt: performance.now() });
          return;
        case "reconnected": {
          this.endpoint = event.endpoint ?? "";
          const absence = this.absences.at(-1);
          if (absence) absence.backAt = performance.now();
          if (event.registeredAnew) this.broken.push(`${name} was told that its lease is lost`);
          return;
        }
        case "attempt-failed":
        case "updated":
        case "closed":
          return;
        default:
          this.broken.push(`${name} is ${event.type}`);
      }
    });
  }

  get isRegistered(): boolean {
    return this.#registration.state === "registered";
  }

  get serviceId(): string {
    const { grant } = this.#registration;
    if (!grant) throw new Error(`${this.name} is not registered`);
    return grant.serviceId;
  }

  close(): Promise<void> {
    return this.#registration.close();
  }
}

/** Services that real clients keep registered, with the addresses of all nodes. */
export class ClusterFleet {
  private constructor(readonly members: readonly FleetMember[]) {}

  /** Resolves when all are registered. */
  static async start(
    size: number,
    addresses: string,
    token: string,
    ttlMsOf: (n: number) => number,
  ): Promise<ClusterFleet> {
    const members = Array.from(
      { length: size },
      (_, n) => new FleetMember(`member-${n}`, { addresses, token, ttlMs: ttlMsOf(n) }),
    );
    const fleet = new ClusterFleet(members);
    await fleet.isWhole();
    return fleet;
  }

  /** Waits until all are registered. */
  isWhole(withinMs = 15_000): Promise<void> {
    return eventually(() => {
      const away = this.members.filter(({ isRegistered }) => !isRegistered);
      if (away.length > 0) throw new Error(`${away.length} are not registered`);
    }, withinMs);
  }

  /** How many are on the node of that URL. */
  on({ url }: { readonly url: string }): readonly FleetMember[] {
    return this.members.filter(({ endpoint }) => `http://${endpoint}` === url);
  }

  get broken(): readonly string[] {
    return this.members.flatMap(({ broken }) => broken);
  }

  /** The longest that one was without a stream that began since then, in ms. */
  longestAbsenceMs(since: number): number {
    const absences = this.members.flatMap(({ absences }) => absences);
    return Math.max(
      0,
      ...absences
        .filter(({ lostAt }) => lostAt >= since)
        .map(({ lostAt, backAt = Number.POSITIVE_INFINITY }) => backAt - lostAt),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
  }
}
