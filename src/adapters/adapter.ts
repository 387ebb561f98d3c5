import type { HttpCaller } from "./http-call.js";

/** The kinds of download client that can be spoken to. */
export type ProbeableKind = "aria2" | "haul" | "qbittorrent";

/** A download client and how to log in to it. */
export interface ClientTarget {
  /** What it is. For one that came from elsewhere, ask `isProbeable`. */
  readonly kind: ProbeableKind;
  /** Where it is reached: http or https, with its URL base, without user-info, query or fragment. */
  readonly url: string;
  readonly username?: string;
  /** Password, API key or RPC secret. Never logged, never in a message. */
  readonly secret?: string;
}

/** How busy a download client is; what is absent is unknown. */
export interface ClientLoad {
  readonly freeBytes?: number;
  readonly active?: number;
  readonly queued?: number;
  readonly downloadBytesPerSecond?: number;
  readonly uploadBytesPerSecond?: number;
}

/** What a download client said when it was asked. No message holds a secret. */
export type Probe = ProbeSuccess | ProbeFailure;

export interface ProbeSuccess {
  readonly outcome: "ok";
  readonly message: string;
  /** As the client tells it; empty if it does not. */
  readonly version: string;
  readonly load: ClientLoad;
  /**
   * Whether the client looked at the credentials. Some let in whoever calls from
   * their own host: that proves nothing for those who call from elsewhere.
   */
  readonly credentials: "accepted" | "not-asked";
}

export interface ProbeFailure {
  /**
   * `authentication-failed`: it refuses the credentials; asking again may get
   * the address banned. `banned`: it lets nobody in from here for a while, and has
   * not looked at the credentials. `unreachable`: no answer, or one that says it is
   * not well. `wrong-kind`: something answers that is not this kind.
   */
  readonly outcome:
    | "authentication-failed"
    | "banned"
    | "unreachable"
    | "wrong-kind"
    | "unsupported-version";
  /** What happened and what to do, for people. */
  readonly message: string;
}

/** Asks one download client. Remembers its session, so probes must not overlap. */
export interface Adapter {
  /** Ends within 14 s. Never rejects, but with the signal's reason when it aborts. */
  probe(signal: AbortSignal): Promise<Probe>;
  /**
   * Gives the client another secret for the user who is logged in, which is asked for
   * from then on; absent: this kind has no way to. Ends within 14 s. This adapter goes
   * on with the session that it has.
   * @throws ProbeError if it did not, or if there was no answer, so that it may have;
   *   the signal's reason when it aborts.
   */
  changeSecret?(next: string, signal: AbortSignal): Promise<void>;
}

/**
 * How one kind is asked. Its probe may throw a ProbeError, and need not look at
 * the time: `call` ends when the signal aborts.
 */
export type AdapterFactory = (target: ClientTarget, call: HttpCaller) => Adapter;

/** Thrown inside an adapter to end a probe with this outcome. */
export class ProbeError extends Error {
  constructor(
    readonly outcome: ProbeFailure["outcome"],
    message: string,
  ) {
    super(message);
  }
}
