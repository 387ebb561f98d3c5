import type { ClientTarget, Probe, ProbeSuccess } from "../adapters/adapter.js";
import type {
  Registration,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { AdvertisedAddress } from "./advertised-address.js";
import { type HealthRules, judge, UNJUDGED, type Verdict } from "./client-health.js";
import type { VpnState } from "./vpn-check.js";

/** What was found out about a download client at one moment. */
export interface Finding {
  readonly target: ClientTarget;
  readonly probe: Probe;
  /** Undefined: nobody asks, or the client does not answer. */
  readonly vpn?: VpnState;
  /** How managers reach it; undefined if it did not answer. */
  readonly address?: AdvertisedAddress;
}

export interface FrontingOptions {
  /** What to register of a client that has answered, and can be reached at that URL. */
  readonly describe: (
    target: ClientTarget,
    apiUrl: string,
    probe: ProbeSuccess,
  ) => ServiceDescription;
  /** Begins the registration; called once, at the first probe that went well. */
  readonly register: (
    service: ServiceDescription,
    credentials: ServiceCredentials,
    health: ServiceHealth,
  ) => Registration;
  readonly rules: () => HealthRules;
  readonly log: Log;
  readonly clock: Clock;
}

/** What Haul knows of a download client, and has told Pulse of it. */
export interface Fronting {
  /** The newest finding; undefined before the first. */
  readonly finding: Finding | undefined;
  /** When that was, in wall-clock ms. */
  readonly foundAt: number;
  readonly health: ServiceHealth | undefined;
  readonly registration: Registration | undefined;
  /** The client is about to take other credentials: they are registered, unproven, if it is. */
  announce(target: ClientTarget): void;
  /** @param nextInMs undefined: it is not asked again by itself */
  take(finding: Finding, nextInMs: number | undefined): void;
}

/**
 * What follows from each probe: a download client is registered when it has
 * answered and taken its credentials, and managers can reach it, never before; after
 * that Pulse hears how it is, and of what has changed.
 */
export function createFronting(options: FrontingOptions): Fronting {
  const { describe, register, rules, log, clock } = options;
  let verdict: Verdict = UNJUDGED;
  let finding: Finding | undefined;
  let foundAt = 0;
  let registration: Registration | undefined;
  /** What was registered last, to notice a change. */
  let service: ServiceDescription | undefined;
  let credentials: ServiceCredentials | undefined;

  /** Registers anew if something has changed. */
  function tell(newService: ServiceDescription, newCredentials: ServiceCredentials): void {
    if (isEqual(newService, service) && isEqual(newCredentials, credentials)) return;
    service = newService;
    credentials = newCredentials;
    // One change for managers: not for a moment DEGRADED with credentials that are VERIFIED.
    const { health } = verdict;
    if (registration && registration.state !== "failed") {
      registration.update({ service, credentials, health });
      return;
    }
    void registration?.close(); // what Pulse refused is over: this is something else
    registration = register(service, credentials, health);
  }

  function isRegistered({ username = "", secret = "" }: ClientTarget): boolean {
    return credentials?.username === username && credentials.apiKey === secret;
  }

  function takeAnswer(target: ClientTarget, probe: ProbeSuccess, apiUrl: string): void {
    const isProven = probe.credentials === "accepted";
    const state = isProven ? "verified" : "unverified";
    tell(describe(target, apiUrl, probe), credentialsOf(target, state));
    registration?.report({
      health: verdict.health,
      load: probe.load,
      ...(isProven && !probe.isBySession && { verified: true }),
    });
  }

  return {
    get finding() {
      return finding;
    },
    get foundAt() {
      return foundAt;
    },
    get health() {
      return finding && verdict.health;
    },
    get registration() {
      return registration;
    },
    announce(target) {
      if (service) tell(service, credentialsOf(target, "unverified"));
    },
    take(found, nextInMs) {
      const { target, probe, vpn, address } = found;
      write(log, { before: finding, found, nextInMs, isRegistered: registration !== undefined });
      finding = found;
      foundAt = clock.wallNow();
      verdict = judge(verdict, { probe, vpn, now: clock.now() }, rules());
      if (probe.outcome === "ok") {
        // One that cannot be reached any more stays where managers know it.
        const apiUrl = address?.ok ? address.url : service?.apiUrl;
        if (apiUrl !== undefined) takeAnswer(target, probe, apiUrl);
        return;
      }
      // What is refused before it was ever registered does not take the place of what worked.
      if (probe.outcome === "authentication-failed" && service && isRegistered(target))
        tell(service, credentialsOf(target, "rejected"));
      registration?.report({ health: verdict.health });
    },
  };
}

interface Writing {
  readonly before: Finding | undefined;
  readonly found: Finding;
  readonly nextInMs: number | undefined;
  readonly isRegistered: boolean;
}

/** A line when something changes, and a quiet one when it does not. */
function write(log: Log, { before, found, nextInMs, isRegistered }: Writing): void {
  const { target, probe, address } = found;
  const { kind, url: clientUrl } = target;
  const fields = {
    kind,
    clientUrl,
    ...(probe.outcome === "ok" && { version: probe.version }),
    ...(address?.ok && { advertised: address.url }),
  };
  const event = `haul.client-${probe.outcome}`;
  const isNews = sayOf(found) !== (before && sayOf(before));
  if (!isNews) {
    log.debug({ ...fields, detail: probe.message }, event);
  } else if (probe.outcome === "ok") {
    log.info({ ...fields, detail: probe.message }, event);
    if (probe.credentials === "not-asked") log.warn({ ...fields, detail: NOT_ASKED }, UNPROVEN);
    if (address?.ok && address.note) log.info({ ...fields, detail: address.note }, ADVERTISED);
    if (address && !address.ok) log.warn({ ...fields, detail: address.problem }, NOT_REACHABLE);
  } else {
    const detail = `${probe.message}; ${outlook(nextInMs, isRegistered)}`;
    log.warn({ ...fields, detail }, event);
  }
}

/** What people are told of a finding: another is news. */
function sayOf({ target, probe, address }: Finding): string {
  return JSON.stringify([target.url, probe.outcome, probe.message, address]);
}

function outlook(nextInMs: number | undefined, isRegistered: boolean): string {
  if (nextInMs === undefined)
    return "not asked again until its configuration or its secret changes, so that this address does not get banned";
  return isRegistered
    ? "asked again until it is well"
    : "asked again until it is well, and registered then";
}

const UNPROVEN = "haul.client-credentials-unproven";
const ADVERTISED = "haul.client-advertised";
const NOT_REACHABLE = "haul.client-not-reachable";
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
