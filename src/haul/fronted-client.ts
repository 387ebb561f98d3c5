import type { ClientTarget, Probe, ProbeableKind } from "../adapters/adapter.js";
import { probeClient } from "../adapters/probe.js";
import { systemClock } from "../lib/clock.js";
import { hostOf, isUnspecifiedHost } from "../lib/host.js";
import { StartError } from "./start-error.js";

/** The kinds of download client that a Haul can stand beside; another Haul is not among them. */
export const FRONTABLE_KINDS = [
  "aria2",
  "deluge",
  "nzbget",
  "qbittorrent",
  "sabnzbd",
  "transmission",
] as const satisfies readonly ProbeableKind[];

/** A download client that Haul was told to front. */
export interface FrontedClient extends ClientTarget {
  readonly kind: (typeof FRONTABLE_KINDS)[number];
  /** File that the secret was read from, whose one line it is; a new one is written there. */
  readonly secretFile?: string;
}

/** @throws StartError if this kind or address cannot be fronted. */
export function checkFrontedClient({ kind, url }: { readonly kind: string; readonly url: string }) {
  const kinds: readonly string[] = FRONTABLE_KINDS;
  if (!kinds.includes(kind))
    throw new StartError(
      `Haul cannot front a download client of kind ${JSON.stringify(kind)}: the kinds it knows are ${kinds.join(", ")}`,
    );
  checkClientUrl(url, "the URL of the download client");
}

/** @throws StartError that does not repeat the URL, which may hold a secret. */
export function checkClientUrl(url: string, what: string): void {
  const problem = clientUrlProblem(url);
  if (problem) throw new StartError(`${what} ${problem}`);
}

/** What is wrong with the URL of a download client, for a sentence that begins with it; undefined: nothing. */
export function clientUrlProblem(url: string): string | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  return !/^https?:$/.test(parsed?.protocol ?? "")
    ? "is not an http or https URL: give one such as http://192.168.1.10:8080"
    : parsed?.username || parsed?.password
      ? "holds a user name or password: give these by themselves"
      : parsed?.search || parsed?.hash
        ? "has a query or fragment: leave it out"
        : parsed && isUnspecifiedHost(hostOf(parsed))
          ? "must name an address that others can reach, not the unspecified one: give the host's name or address"
          : undefined;
}

/**
 * Asks it once, as it would be asked when it is fronted, within 14 s.
 * @throws StartError if this kind or address cannot be fronted.
 */
export async function probeFrontedClient(client: FrontedClient): Promise<Probe> {
  checkFrontedClient(client);
  return probeClient(client, { clock: systemClock, signal: new AbortController().signal });
}
