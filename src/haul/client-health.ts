import type { ClientLoad, Probe, ProbeFailure } from "../adapters/adapter.js";
import type { ServiceHealth } from "../client/index.js";
import type { VpnState } from "./vpn-check.js";

/** Less than that is almost full. */
export const DEFAULT_MIN_FREE_BYTES = 1024 ** 3;
export const DEFAULT_STALLED_AFTER_MS = 15 * 60_000;

/** How much more than the least must be free until the disk counts as well again: one that is filled and cleared all the time is not news. */
const FREE_AGAIN = 1.25;
/** One silence may meet a client that is busy with its disk; two in a row are news. */
const SILENCES_TO_OFFLINE = 2;

const REASONS: Readonly<Record<ProbeFailure["outcome"], string>> = {
  "authentication-failed": "download client refuses the credentials",
  banned: "download client has banned Haul's address for a while",
  unreachable: "download client unreachable",
  "wrong-kind": "something else answers at the download client's address",
  "unsupported-version": "download client's version is not supported",
};
const ANSWERS: ServiceHealth = { status: "online", reason: "download client answers" };

/** What managers are told of a download client, and what must be known at its next probe. */
export interface Verdict {
  /** The same object as before if there is nothing new to tell. */
  readonly health: ServiceHealth;
  /** Silences in a row, at most those that make it offline. */
  readonly silences: number;
  readonly isDiskLow: boolean;
  /** Since when its downloads have received nothing, by `Clock.now`; undefined: they do, or it is not known. */
  readonly idleSinceAt: number | undefined;
}

/** Of a client that has not been asked. */
export const UNJUDGED: Verdict = {
  health: { status: "online" },
  silences: 0,
  isDiskLow: false,
  idleSinceAt: undefined,
};

export interface HealthRules {
  /** Below that its disk is almost full, in bytes; 0: never. */
  readonly minFreeBytes: number;
  /** Downloads that receive nothing at any probe for so long are stalled, in ms; 0: never. */
  readonly stalledAfterMs: number;
}

export interface Finding {
  readonly probe: Probe;
  /** Undefined: nobody looks. */
  readonly vpn: VpnState | undefined;
  /** By `Clock.now`. */
  readonly now: number;
}

/**
 * What a probe means for managers. Each new reason is a commit in Pulse, so reasons
 * hold no figures that move, and what goes up and down by a little changes none.
 */
export function judge(before: Verdict, { probe, vpn, now }: Finding, rules: HealthRules): Verdict {
  if (probe.outcome !== "ok") return judgeFailure(before, probe);
  const { load } = probe;
  const isDiskLow = isLow(before.isDiskLow, load.freeBytes, rules.minFreeBytes);
  const idleSinceAt = isIdle(load) ? (before.idleSinceAt ?? now) : undefined;
  const { stalledAfterMs } = rules;
  const isStalled =
    stalledAfterMs > 0 && idleSinceAt !== undefined && now - idleSinceAt >= stalledAfterMs;
  const reasons = [
    ...(vpn === "down" ? ["VPN is down"] : []),
    ...(isDiskLow ? ["disk almost full"] : []),
    ...(isStalled ? [`stalled: nothing received for ${durationText(stalledAfterMs)}`] : []),
  ];
  return { health: healthOf(before, reasons), silences: 0, isDiskLow, idleSinceAt };
}

function judgeFailure(before: Verdict, { outcome, isRefused }: ProbeFailure): Verdict {
  const isSilence = outcome === "unreachable" && !isRefused;
  const silences = isSilence ? Math.min(before.silences + 1, SILENCES_TO_OFFLINE) : 0;
  if (isSilence && silences < SILENCES_TO_OFFLINE) return { ...before, silences };
  const isOffline = outcome === "unreachable" || outcome === "wrong-kind";
  const health: ServiceHealth = {
    status: isOffline ? "offline" : "degraded",
    reason: REASONS[outcome],
  };
  return {
    health: kept(before.health, health),
    silences,
    isDiskLow: before.isDiskLow,
    idleSinceAt: undefined,
  };
}

/** That it answers is told only after something was wrong. */
function healthOf({ health }: Verdict, reasons: readonly string[]): ServiceHealth {
  if (reasons.length > 0) return kept(health, { status: "degraded", reason: reasons.join("; ") });
  return health.status === "online" ? health : ANSWERS;
}

function kept(before: ServiceHealth, next: ServiceHealth): ServiceHealth {
  return before.status === next.status && before.reason === next.reason ? before : next;
}

/** What is not known leaves it at what it was. */
function isLow(wasLow: boolean, freeBytes: number | undefined, minFreeBytes: number): boolean {
  if (minFreeBytes <= 0) return false;
  if (freeBytes === undefined) return wasLow;
  return freeBytes < (wasLow ? FREE_AGAIN * minFreeBytes : minFreeBytes);
}

/** An unknown rate is not taken for none. */
function isIdle({ active = 0, downloadBytesPerSecond }: ClientLoad): boolean {
  return active > 0 && downloadBytesPerSecond === 0;
}

function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}
