import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { Identity } from "./identity.js";
import type { PulseSecurity } from "./target.js";

/** What a service registers as: the fields of `pulse.v1.ServiceSpec`, see there for bounds. */
export interface ServiceDescription {
  readonly name: string;
  readonly type: string;
  readonly kind?: string;
  readonly apiUrl?: string;
  readonly healthUrl?: string;
  readonly version?: string;
  readonly capabilities?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly protocol?: "torrent" | "usenet";
  readonly downloadDirectory?: string;
  readonly pathMappings?: readonly PathMapping[];
}

/** Two names of one directory, and of what is below it. */
export interface PathMapping {
  /** As the download client writes it, absolute. */
  readonly clientPath: string;
  /** As media managers write it. */
  readonly managerPath: string;
}

/** Credentials to hand over. An absent field keeps what Pulse has; an empty one clears it. */
export interface ServiceCredentials {
  readonly username?: string;
  readonly apiKey?: string;
  /** `verified` only if the service has just accepted them. */
  readonly state?: "unverified" | "verified" | "rejected";
}

/** How busy a download client is; what is absent is unknown. */
export interface ServiceLoad {
  readonly freeBytes?: number;
  readonly active?: number;
  readonly queued?: number;
  readonly downloadBytesPerSecond?: number;
  readonly uploadBytesPerSecond?: number;
}

/** How the service is, sent with each heartbeat. */
export interface ServiceHealth {
  /** `offline`: this program lives, but what it stands for does not answer. */
  readonly status: "online" | "degraded" | "offline";
  /** For people; cut to 256 characters, and control characters become spaces. */
  readonly reason?: string;
}

export interface RegistrationOptions extends PulseSecurity {
  /**
   * Where Pulse is: `https://host:port`, or `http://127.0.0.1:port` on this host, or
   * several of these with commas between. A host name may stand for several Pulses, too: one of them at
   * random is used, and another when that one fails or is stopping.
   */
  readonly pulse: string;
  /**
   * Bearer token of scope `register`, or a join token: Pulse gives the instance a token
   * of its own for that, which is used from then on. A function is asked before each
   * attempt that needs it, so a mended token is found.
   */
  readonly token: string | (() => string | Promise<string>);
  readonly service: ServiceDescription;
  readonly credentials?: ServiceCredentials;
  /** Status to register with; ONLINE if left out. */
  readonly health?: ServiceHealth;
  /**
   * Directory in which instance id and secret are made once and kept (0600), and the
   * instance's own token if it joins; or the identity itself: then that token is kept in
   * memory, and the next start joins again.
   */
  readonly identity: { readonly directory: string } | Identity;
  /** TTL to ask for, 5,000 to 300,000 ms; left out, Pulse grants its default. */
  readonly ttlMs?: number;
  /** How long the first registration is tried before going on standalone; 120,000 ms. */
  readonly standaloneAfterMs?: number;
  /** Ends the registration like `close()`. */
  readonly signal?: AbortSignal;
  /** Gets every event as a line. Left out, the client writes no log. */
  readonly log?: Log;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/** Where a registration stands; see docs/protocol.md for what leads from one to another. */
export type RegistrationState =
  | "connecting"
  | "registered"
  | "reconnecting"
  | "standalone"
  | "rejected"
  | "superseded"
  | "failed"
  | "closed";

/** What was granted by the newest Register. */
export interface Grant {
  readonly serviceId: string;
  readonly instanceId: string;
  readonly leaseId: string;
  readonly ttlMs: number;
  readonly generation: bigint;
  readonly epoch: string;
  readonly revision: bigint;
  /** Name of the download-client entry, if there is one. */
  readonly entryName: string | undefined;
  /** Managers do not see the service until an operator has approved it. */
  readonly waitsForApproval?: true;
}

export type RegistrationEvent =
  /**
   * Registered for the first time, or after `standalone` or `rejected`. With several
   * endpoints, `endpoint` says which Pulse that is: IP address and port.
   */
  | { readonly type: "registered"; readonly grant: Grant; readonly endpoint?: string }
  /** Heartbeats are answered again after a loss; `registeredAnew` if Pulse had forgotten the lease. */
  | {
      readonly type: "reconnected";
      readonly grant: Grant;
      readonly registeredAnew: boolean;
      readonly endpoint?: string;
    }
  /** The stream to Pulse is lost; it will be tried again in `retryInMs`, or as soon as Pulse can be reached. */
  | { readonly type: "disconnected"; readonly error: Error; readonly retryInMs: number }
  /** What `update` changed is registered. */
  | { readonly type: "updated"; readonly grant: Grant }
  /** A Register, or opening the stream again, failed; the next attempt is in `retryInMs`, or as soon as Pulse can be reached. Attempts count from 1. */
  | {
      readonly type: "attempt-failed";
      readonly attempt: number;
      readonly error: Error;
      readonly retryInMs: number;
    }
  /** The budget is used up: the program goes on alone, the client goes on trying. */
  | { readonly type: "standalone"; readonly afterMs: number; readonly error: Error }
  /** Pulse refuses the token or the identity; it will be asked again slowly. Said once for each reason. */
  | { readonly type: "rejected"; readonly error: Error; readonly retryInMs: number }
  /** Another process registered with this identity; this one has stopped. */
  | { readonly type: "superseded" }
  /**
   * Pulse refuses the request as invalid, or the identity cannot be read; the
   * error says why. It will not be tried again. After an `update` the
   * registration as it was before goes on; else the state is `failed`.
   */
  | { readonly type: "failed"; readonly error: Error }
  | { readonly type: "closed" };

/** A running registration. */
export interface Registration {
  readonly state: RegistrationState;
  /** Undefined until the first success. */
  readonly grant: Grant | undefined;
  /**
   * The credentials that Pulse has acknowledged last; undefined until the first success.
   * After an `update`, who may give up the credentials from before waits until they are here.
   */
  readonly acknowledged: ServiceCredentials | undefined;
  /** Calls `listener` for every event from now on; returns what ends that. A listener that throws is ignored. */
  subscribe(listener: (event: RegistrationEvent) => void): () => void;
  /**
   * Registers anew with what has changed, as soon as Pulse can be reached; the newest call
   * wins. `service` is replaced whole, credentials field by field: with a new API key the
   * user name goes on, and their state does not. `health` goes along, so that both are seen
   * at once.
   */
  update(change: {
    readonly service?: ServiceDescription;
    readonly credentials?: ServiceCredentials;
    readonly health?: ServiceHealth;
  }): void;
  /**
   * Sent with the next heartbeat; a change of status is sent at once. `verified`: the
   * credentials that were registered have just been accepted once more.
   */
  report(report: {
    readonly health?: ServiceHealth;
    readonly load?: ServiceLoad;
    readonly verified?: true;
  }): void;
  /**
   * Says goodbye, waiting at most 2 s for Pulse, and leaves no timer and no
   * stream behind. With `deregister` the registration is removed too. Never rejects.
   */
  close(options?: { readonly deregister?: boolean }): Promise<void>;
}
