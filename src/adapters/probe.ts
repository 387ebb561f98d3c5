import {
  type Adapter,
  type ClientKind,
  type ClientTarget,
  type Download,
  type Probe,
  type ProbeableKind,
  ProbeError,
} from "./adapter.js";
import { ARIA2 } from "./aria2.js";
import { DELUGE } from "./deluge.js";
import { HAUL } from "./haul.js";
import { createHttpClient, type HttpClientOptions } from "./http-call.js";
import { NZBGET } from "./nzbget.js";
import { QBITTORRENT } from "./qbittorrent.js";
import { SABNZBD } from "./sabnzbd.js";
import { withTimeLimit } from "./time-limit.js";
import { TRANSMISSION } from "./transmission.js";

/** For all exchanges of a probe; whoever promises an answer within 15 s has one to tell. */
export const PROBE_TIMEOUT_MS = 14_000;

const KINDS: Readonly<Record<ProbeableKind, ClientKind>> = {
  aria2: ARIA2,
  deluge: DELUGE,
  haul: HAUL,
  nzbget: NZBGET,
  qbittorrent: QBITTORRENT,
  sabnzbd: SABNZBD,
  transmission: TRANSMISSION,
};

/** Whether there is a way to ask a download client of this kind. */
export function isProbeable(kind: string): kind is ProbeableKind {
  return Object.hasOwn(KINDS, kind);
}

/** For one that is asked again and again, so that its session is kept. */
export function createAdapter(target: ClientTarget, options: HttpClientOptions): Adapter {
  const http = createHttpClient(target.url, options);
  const adapter = KINDS[target.kind].createAdapter(target, http.call);
  const limit = {
    clock: options.clock,
    timeoutMs: PROBE_TIMEOUT_MS,
    meaning: "it did not answer all that was asked",
  };
  const { changeSecret, add } = adapter;
  return {
    ...(add && {
      add(download: Download, signal: AbortSignal) {
        http.lookAnew();
        return withTimeLimit(limit, signal, (signal) => add(download, signal));
      },
    }),
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
        if (error instanceof ProbeError) return failureOf(error);
        // Our own fault. Its message may quote what it stumbled over, so only its name is told.
        const name = error instanceof Error ? error.name : "unknown";
        return { outcome: "unreachable", message: `asking it failed (${name})` };
      }
    },
  };
}

function failureOf({ outcome, message, isRefused }: ProbeError): Probe {
  return { outcome, message, ...(isRefused && { isRefused }) };
}

/** Transmission counts each question without a password, SABnzbd warns of those without its key. */
const ASK_FIRST: readonly string[] = ["transmission", "sabnzbd"];

/**
 * Which kind of download client answers at a URL, by what it tells without credentials;
 * undefined: none that is known, or nobody. Each kind is asked in turn, and none is sent
 * a secret. Ends when one question has had no answer within 5 s.
 * @param url of one, as in `ClientTarget`
 */
export async function recogniseClient(
  url: string,
  { signal, ...options }: HttpClientOptions & { readonly signal: AbortSignal },
): Promise<ProbeableKind | undefined> {
  const { call } = createHttpClient(url, options);
  const kinds = Object.keys(KINDS).filter(isProbeable);
  for (const kind of new Set([...ASK_FIRST.filter(isProbeable), ...kinds])) {
    try {
      if (await KINDS[kind].recognise(url.replace(/\/+$/, ""), call, signal)) return kind;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ProbeError)) throw error;
      if (error.outcome === "unreachable") return undefined;
    }
  }
  return undefined;
}

/**
 * Asks a download client once: logs in, and reads version and load. Ends within
 * 14 s, speaks to the URL's origin alone and follows no redirect, and reads at most
 * 64 KiB of an answer (32 MiB of a list of downloads).
 *
 * Never rejects, but with the signal's reason when it aborts.
 */
export function probeClient(
  target: ClientTarget,
  { signal, ...options }: HttpClientOptions & { readonly signal: AbortSignal },
): Promise<Probe> {
  return createAdapter(target, options).probe(signal);
}
