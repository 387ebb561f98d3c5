import type { Call } from "./call.js";
import type { Connection, Target } from "./connection.js";
import { HeartbeatWriter, leaseIdFrom, problemOfHeartbeat, registerRequest } from "./messages.js";
import { HEARTBEAT, REGISTER } from "./paths.js";

/** As long as Pulse's own. */
const LEASE_OF_AN_ECHO = "0b8b1c6a-6d4c-4a53-9a0e-0123456789ab.1.0123456789abcdefghijkl";

export interface ServiceEvents {
  /** A heartbeat was answered, the first one when the service is up. */
  readonly onRenewed: (service: Service, answerBytes: number) => void;
  /** Once, and nothing follows it. */
  readonly onFailed: (service: Service, problem: string) => void;
}

/** A service as Pulse sees one: registers, opens its heartbeat stream, keeps its lease. */
export class Service {
  #stream: Call | undefined;
  #heartbeats: HeartbeatWriter | undefined;
  #hasFailed = false;

  constructor(
    readonly target: Target,
    readonly connection: Connection,
    readonly index: number,
    readonly events: ServiceEvents,
  ) {}

  get heartbeatsSent(): number {
    return this.#heartbeats?.sequence ?? 0;
  }

  /** Registers and sends the first heartbeat. */
  begin(): void {
    let leaseId: string | undefined;
    this.connection.callOnce(REGISTER, registerRequest(this.index), {
      onMessage: (answer) => {
        leaseId = this.#leaseIdFrom(answer);
      },
      onEnd: (problem) => {
        if (problem !== undefined) this.#fail(`Register: ${problem}`);
        else if (leaseId === undefined) this.#fail("Register: no answer");
        else this.#openStream(leaseId);
      },
    });
  }

  /** Not before the last heartbeat was answered. */
  beat(): void {
    if (this.#stream && this.#heartbeats)
      this.connection.send(this.#stream, this.#heartbeats.next());
  }

  #leaseIdFrom(answer: Buffer): string | undefined {
    if (this.target.isEcho) return LEASE_OF_AN_ECHO;
    try {
      return leaseIdFrom(answer, this.index);
    } catch (error) {
      this.#fail(String(error));
      return undefined;
    }
  }

  #openStream(leaseId: string): void {
    const heartbeats = new HeartbeatWriter(leaseId);
    this.#heartbeats = heartbeats;
    this.#stream = this.connection.openStream(HEARTBEAT, {
      onMessage: (answer) => {
        const problem = this.target.isEcho ? undefined : problemOfHeartbeat(answer, heartbeats);
        if (problem === undefined) this.events.onRenewed(this, answer.length);
        else this.#fail(`Heartbeat: ${problem}`);
      },
      onEnd: (problem) => this.#fail(`Heartbeat: ${problem ?? "the stream ended"}`),
    });
    this.beat();
  }

  #fail(problem: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#stream = undefined;
    this.events.onFailed(this, problem);
  }
}
