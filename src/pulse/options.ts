import type { LeasePolicy } from "../core/lease.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { FailurePolicy } from "./failed-authentications.js";
import type { HistoryPolicy } from "./history.js";
import type { TlsFiles } from "./tls-files.js";
import type { TokenFiles } from "./tokens.js";
import type { WatchPolicy } from "./watch-hub.js";

/** How Pulse is to run. */
export interface PulseOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Made if it is not there, for its owner alone. */
  readonly dataDirectory: string;
  /**
   * `postgres://…`: a database that other nodes may use too. Left out, Pulse has one of
   * its own in the data directory.
   */
  readonly database?: string;
  /**
   * 32 bytes as hex or base64 that encrypt the API keys, or several such with commas between,
   * the newest first, which all decrypt; left out, a key file in the data directory.
   */
  readonly secretKey?: string;
  /** Left out, plain text. The files are read again when they change. */
  readonly tls?: TlsFiles;
  /** Allows plain text beyond loopback. */
  readonly insecure?: boolean;
  readonly log: Log;
  readonly policy?: Partial<LeasePolicy>;
  /** Registrations that one Pulse holds; 100,000. */
  readonly maxServices?: number;
  /** Of these, how many with one token; 10,000. */
  readonly maxServicesPerToken?: number;
  /**
   * What registers for the first time is seen by managers only once an operator has
   * approved it. To be the same for all Pulses on one database.
   */
  readonly requireApproval?: boolean;
  /** How much of the past is kept for watchers and timelines. */
  readonly history?: Partial<HistoryPolicy>;
  readonly watch?: Partial<WatchPolicy>;
  /** A service that is OFFLINE for longer is removed, in ms while Pulse runs; 30 days. Infinity: never. */
  readonly forgetAfterMs?: number;
  /** How long entries of the audit log are kept, in wall-clock ms; 90 days. Infinity: for ever. */
  readonly auditAgeMs?: number;
  /** How many calls without a valid token an address may make. */
  readonly failedAuthentications?: Partial<FailurePolicy>;
  /** Networks (CIDR) to which TestDownloadClient may go; left out, all but link-local and the like. */
  readonly allowProbe?: readonly string[];
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/** A Pulse that runs. */
export interface PulseServer {
  /** `https://host:port`, or `http://host:port` in plain text */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly tokenFiles: TokenFiles;
  /** Resolves if Pulse cannot go on, though it still answers: stop it, and start another. */
  readonly failed: Promise<Error>;
  /**
   * Reads the files of TLS now, whether they have changed or not. What is wrong with them
   * is logged, and what is in use stays. Undefined for plain text.
   */
  readonly reloadCertificate: (() => Promise<void>) | undefined;
  /** Drains and stops within 10 s; the same promise if called again. */
  stop(): Promise<void>;
}
