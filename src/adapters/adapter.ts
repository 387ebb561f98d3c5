import type { HttpCaller } from "./http-call.js";

/** The kinds of download client that can be spoken to. */
export type ProbeableKind =
  | "aria2"
  | "deluge"
  | "haul"
  | "nzbget"
  | "qbittorrent"
  | "sabnzbd"
  | "transmission";

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
  /** Where it puts what it has fetched, unless told otherwise, as it sees that itself. */
  readonly downloadDirectory?: string;
  /**
   * Whether the client looked at the credentials. Some let in whoever calls from
   * their own host: that proves nothing for those who call from elsewhere.
   */
  readonly credentials: "accepted" | "not-asked";
  /** By a session that began with an earlier probe: they may have been changed since. */
  readonly isBySession?: true;
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
  /** Nobody listens at its address: no matter of patience, as silence may be. */
  readonly isRefused?: true;
}

/** Something to download. */
export interface Download {
  /** Name of the .torrent or .nzb file, without a path. */
  readonly fileName: string;
  /** What is in that file. */
  readonly content: Uint8Array;
  /** Category or label to give it, if the client knows such. */
  readonly category?: string;
  /** Where to put it, as the client sees that; left out, where it puts all. */
  readonly directory?: string;
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
  /**
   * Has the client fetch this; absent: this kind has no way to. Ends within 14 s.
   * Adding what it has already is no error.
   * @returns the id by which the client knows the download
   * @throws ProbeError if it did not, or if there was no answer, so that it may have;
   *   the signal's reason when it aborts.
   */
  add?(download: Download, signal: AbortSignal): Promise<string>;
}

/**
 * How one kind is asked. Its probe may throw a ProbeError, and need not look at
 * the time: `call` ends when the signal aborts.
 */
export type AdapterFactory = (target: ClientTarget, call: HttpCaller) => Adapter;

/**
 * Whether what answers at a URL is of one kind, by what it tells without credentials.
 * Sends none, and nothing that counts as a failed log-in. May throw a ProbeError for "no".
 */
export type Recognise = (url: string, call: HttpCaller, signal: AbortSignal) => Promise<boolean>;

/** One kind of download client: all that is known of it is in its file. */
export interface ClientKind {
  readonly createAdapter: AdapterFactory;
  readonly recognise: Recognise;
}

/** Thrown inside an adapter to end a probe with this outcome. */
export class ProbeError extends Error {
  constructor(
    readonly outcome: ProbeFailure["outcome"],
    message: string,
    /** As `ProbeFailure.isRefused`. */
    readonly isRefused = false,
  ) {
    super(message);
  }
}
