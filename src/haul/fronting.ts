import type { ClientTarget, Probe, ProbeFailure } from "../adapters/adapter.js";
import type {
  Registration,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";

/** One probe may meet a client that is busy with its disk; two in a row are news. */
const FAILURES_TO_DEGRADE = 2;

const REASONS: Readonly<Record<ProbeFailure["outcome"], string>> = {
  "authentication-failed": "download client refuses the credentials",
  banned: "download client has banned Haul's address for a while",
  unreachable: "download client unreachable",
  "wrong-kind": "something else answers at the download client's address",
  "unsupported-version": "download client's version is not supported",
};

export interface FrontingOptions {
  /** What to register, given the version found. */
  readonly describe: (target: ClientTarget, version: string) => ServiceDescription;
  /** Begins the registration; called once, at the first probe that went well. */
  readonly register: (service: ServiceDescription, credentials: ServiceCredentials) => Registration;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * What follows from each probe: a download client is registered when it has
 * answered and taken its credentials, never before; after that Pulse hears how it
 * is, and of what has changed.
 */
export class Fronting {
  readonly #options: FrontingOptions;
  #target: ClientTarget;
  #registration: Registration | undefined;
  /** What was registered last, to notice a change. */
  #service: ServiceDescription | undefined;
  #credentials: ServiceCredentials | undefined;
  #probe: Probe | undefined;
  #probedAt = 0;
  #failures = 0;
  #isDegraded = false;

  constructor(target: ClientTarget, options: FrontingOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** The newest probe; undefined before the first has ended. */
  get probe(): Probe | undefined {
    return this.#probe;
  }

  /** When that was, in wall-clock ms. */
  get probedAt(): number {
    return this.#probedAt;
  }

  get target(): ClientTarget {
    return this.#target;
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }

  /** The client has moved; it is registered there when it has answered there. */
  moveTo(target: ClientTarget): void {
    this.#target = target;
  }

  /** The client is about to take other credentials: they are registered, unproven, if it is. */
  announce(): void {
    if (this.#service) this.#tell(this.#service, credentialsOf(this.target, "unverified"));
  }

  /** @param nextInMs undefined: there will be no further probe. */
  take(probe: Probe, nextInMs: number | undefined): void {
    this.#write(probe, nextInMs);
    this.#probe = probe;
    this.#probedAt = this.#options.clock.wallNow();
    if (probe.outcome === "ok") {
      this.#failures = 0;
      const { target } = this;
      const state = probe.credentials === "accepted" ? "verified" : "unverified";
      this.#tell(this.#options.describe(target, probe.version), credentialsOf(target, state));
      if (this.#isDegraded) this.#report({ status: "online", reason: "download client answers" });
      this.#registration?.report({ load: probe.load });
      return;
    }
    this.#failures += 1;
    const isRefusal = probe.outcome === "authentication-failed";
    if (isRefusal && this.#service)
      this.#tell(this.#service, credentialsOf(this.target, "rejected"));
    if (isRefusal || this.#failures >= FAILURES_TO_DEGRADE)
      this.#report({ status: "degraded", reason: REASONS[probe.outcome] });
  }

  #report(health: ServiceHealth): void {
    this.#isDegraded = health.status === "degraded";
    this.#registration?.report({ health });
  }

  /** Registers, or registers anew if something has changed. */
  #tell(service: ServiceDescription, credentials: ServiceCredentials): void {
    const isSame = isEqual(service, this.#service) && isEqual(credentials, this.#credentials);
    if (isSame) return;
    this.#service = service;
    this.#credentials = credentials;
    if (this.#registration) this.#registration.update({ service, credentials });
    else this.#registration = this.#options.register(service, credentials);
  }

  /** A line when something changes, and a quiet one when it does not. */
  #write(probe: Probe, nextInMs: number | undefined): void {
    const { log } = this.#options;
    const before = this.#probe;
    const fields = {
      kind: this.#target.kind,
      clientUrl: this.#target.url,
      ...(probe.outcome === "ok" && { version: probe.version }),
    };
    const event = `haul.client-${probe.outcome}`;
    const isNews = probe.outcome !== before?.outcome || probe.message !== before.message;
    if (!isNews) {
      log.debug({ ...fields, detail: probe.message }, event);
    } else if (probe.outcome === "ok") {
      log.info({ ...fields, detail: probe.message }, event);
      if (probe.credentials === "not-asked") log.warn({ ...fields, detail: NOT_ASKED }, UNPROVEN);
    } else {
      log.warn({ ...fields, detail: `${probe.message}; ${this.#outlook(nextInMs)}` }, event);
    }
  }

  #outlook(nextInMs: number | undefined): string {
    if (nextInMs === undefined)
      return "not asked again until Haul is restarted, so that this address does not get banned";
    return this.#registration
      ? "asked again until it is well"
      : "asked again until it is well, and registered then";
  }
}

const UNPROVEN = "haul.client-credentials-unproven";
const NOT_ASKED =
  "the download client lets this host in without looking at the credentials, so they are registered as unverified";

/** Both fields always: an absent one would keep what an earlier configuration had. */
function credentialsOf(
  { username = "", secret = "" }: ClientTarget,
  state: NonNullable<ServiceCredentials["state"]>,
): ServiceCredentials {
  return { username, apiKey: secret, state };
}

function isEqual(a: object, b: object | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
