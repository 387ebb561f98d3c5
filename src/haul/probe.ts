import { type Clock, systemClock } from "../lib/clock.js";
import { hostOf, isUnspecifiedHost } from "../lib/host.js";
import {
  type Adapter,
  type AdapterFactory,
  type ClientTarget,
  type Probe,
  ProbeError,
} from "./adapter.js";
import { createAria2Adapter } from "./adapters/aria2.js";
import { createQBittorrentAdapter } from "./adapters/qbittorrent.js";
import { createHttpCaller } from "./http-call.js";
import { StartError } from "./start-error.js";

const ADAPTERS: ReadonlyMap<string, AdapterFactory> = new Map([
  ["aria2", createAria2Adapter],
  ["qbittorrent", createQBittorrentAdapter],
]);

/** The kinds of download client that Haul knows how to ask. */
export const FRONTABLE_KINDS: readonly string[] = [...ADAPTERS.keys()];

/** @throws StartError if this kind or address cannot be fronted. */
export function createAdapter(target: ClientTarget, clock: Clock): Adapter {
  const create = ADAPTERS.get(target.kind);
  if (!create)
    throw new StartError(
      `Haul cannot front a download client of kind ${JSON.stringify(target.kind)}: the kinds it knows are ${FRONTABLE_KINDS.join(" and ")}`,
    );
  checkClientUrl(target.url, "the URL of the download client");
  const adapter = create(target, createHttpCaller(clock));
  return {
    async probe(signal) {
      try {
        return await adapter.probe(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ProbeError) return { outcome: error.outcome, message: error.message };
        // Our own fault. Its message may quote what it stumbled over, so only its name is told.
        const name = error instanceof Error ? error.name : "unknown";
        return { outcome: "unreachable", message: `asking it failed (${name})` };
      }
    },
  };
}

/**
 * Asks a download client once, within about 15 s.
 * @throws StartError if this kind or address cannot be fronted.
 */
export function probeClient(
  target: ClientTarget,
  options: { readonly clock?: Clock; readonly signal?: AbortSignal } = {},
): Promise<Probe> {
  const { clock = systemClock, signal = new AbortController().signal } = options;
  return createAdapter(target, clock).probe(signal);
}

/** @throws StartError that does not repeat the URL, which may hold a secret. */
export function checkClientUrl(url: string, what: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const problem = !/^https?:$/.test(parsed?.protocol ?? "")
    ? "is not an http or https URL: give one such as http://192.168.1.10:8080"
    : parsed?.username || parsed?.password
      ? "holds a user name or password: give these by themselves"
      : parsed?.search || parsed?.hash
        ? "has a query or fragment: leave it out"
        : parsed && isUnspecifiedHost(hostOf(parsed))
          ? "must name an address that others can reach, not the unspecified one: give the host's name or address"
          : undefined;
  if (problem) throw new StartError(`${what} ${problem}`);
}
