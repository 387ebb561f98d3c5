import {
  type Adapter,
  type AdapterFactory,
  type ClientTarget,
  type Probe,
  type ProbeableKind,
  ProbeError,
} from "./adapter.js";
import { createAria2Adapter } from "./aria2.js";
import { createHaulAdapter } from "./haul.js";
import { createHttpClient, type HttpClientOptions } from "./http-call.js";
import { createQBittorrentAdapter } from "./qbittorrent.js";
import { withTimeLimit } from "./time-limit.js";

/** For all exchanges of a probe; whoever promises an answer within 15 s has one to tell. */
export const PROBE_TIMEOUT_MS = 14_000;

const ADAPTERS: Readonly<Record<ProbeableKind, AdapterFactory>> = {
  aria2: createAria2Adapter,
  haul: createHaulAdapter,
  qbittorrent: createQBittorrentAdapter,
};

/** Whether there is a way to ask a download client of this kind. */
export function isProbeable(kind: string): kind is ProbeableKind {
  return Object.hasOwn(ADAPTERS, kind);
}

/** For one that is asked again and again, so that its session is kept. */
export function createAdapter(target: ClientTarget, options: HttpClientOptions): Adapter {
  const http = createHttpClient(target.url, options);
  const adapter = ADAPTERS[target.kind](target, http.call);
  const limit = {
    clock: options.clock,
    timeoutMs: PROBE_TIMEOUT_MS,
    meaning: "it did not answer all that was asked",
  };
  const { changeSecret } = adapter;
  return {
    ...(changeSecret && {
      changeSecret(next: string, signal: AbortSignal) {
        http.lookAnew();
        return withTimeLimit(limit, signal, (signal) => changeSecret(next, signal));
      },
    }),
    async probe(signal) {
      try {
        http.lookAnew();
        return await withTimeLimit(limit, signal, (signal) => adapter.probe(signal));
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
 * Asks a download client once: logs in, and reads version and load. Ends within
 * 14 s, speaks to the URL's origin alone and follows no redirect, and reads at most
 * 64 KiB of an answer (32 MiB of a qBittorrent's list of torrents).
 *
 * Never rejects, but with the signal's reason when it aborts.
 */
export function probeClient(
  target: ClientTarget,
  { signal, ...options }: HttpClientOptions & { readonly signal: AbortSignal },
): Promise<Probe> {
  return createAdapter(target, options).probe(signal);
}
