import type { ClientTarget, Probe, ProbeableKind } from "../../adapters/adapter.js";
import { isProbeable, probeClient, recogniseClient } from "../../adapters/probe.js";
import type { Clock } from "../../lib/clock.js";
import { hostOf } from "../../lib/host.js";
import { createHostNetwork } from "../host-network.js";
import { programName } from "../program-names.js";
import { type FoundConfiguration, type Places, readConfigurations } from "./configuration-files.js";

/** Where download clients of all kinds listen unless they are told otherwise, and their URL bases. */
const DEFAULT_URLS: readonly (readonly string[])[] = [
  ["http://127.0.0.1:8080", "http://127.0.0.1:8080/sabnzbd"],
  ["http://127.0.0.1:8085", "http://127.0.0.1:8085/sabnzbd"],
  ["http://127.0.0.1:8090", "http://127.0.0.1:8090/sabnzbd"],
  ["http://127.0.0.1:9091"],
  ["http://127.0.0.1:8112"],
  ["http://127.0.0.1:6789"],
  ["http://127.0.0.1:6800"],
];

/** A download client that answers on this host. */
export interface DetectedClient {
  /** Of this kind the first, or `qbittorrent-2`. */
  readonly name: string;
  readonly kind: ProbeableKind;
  readonly url: string;
  readonly username?: string;
  /** Never printed. */
  readonly secret?: string;
  /** Which configuration file was read; undefined: none. */
  readonly file?: string;
  /** Undefined: it did not let us ask. */
  readonly version?: string;
  /** Absolute, if it does not tell it itself. */
  readonly downloadDirectory?: string;
  /** What must be filled in or mended before it can be fronted; undefined: nothing. */
  readonly missing?: string;
  /** What is missing is a secret, or another one. */
  readonly isSecretMissing?: true;
}

export interface Detection {
  readonly clients: readonly DetectedClient[];
  /** What was found besides, a sentence each without its full stop. */
  readonly notes: readonly string[];
}

/** What is asked of whatever listens. */
export interface Asker {
  isListening(url: string): Promise<boolean>;
  /** Sends no secret. */
  recognise(url: string): Promise<string | undefined>;
  probe(target: ClientTarget): Promise<Probe>;
}

export function createAsker(clock: Clock, signal: AbortSignal): Asker {
  const network = createHostNetwork(clock);
  return {
    async isListening(url) {
      const { port, protocol } = new URL(url);
      const to = Number(port) || (protocol === "https:" ? 443 : 80);
      return (await network.connect(hostOf(new URL(url)), to)) === "connected";
    },
    recognise: (url) => recogniseClient(url, { clock, signal }),
    probe: (target) => probeClient(target, { clock, signal }),
  };
}

/**
 * Looks for download clients where they usually listen and where their configuration
 * files say. Each that answers is probed once; a secret is sent only to what has shown to
 * be of the kind from whose own file it was read.
 */
export async function detectClients(places: Places, asker: Asker): Promise<Detection> {
  const { found, closed } = await readConfigurations(places);
  const answering = await Promise.all(originsOf(found).map((urls) => findAt(urls, found, asker)));
  const hits = answering.filter((hit) => hit !== undefined);
  const probed = await Promise.all(hits.map((hit) => describe(hit, asker)));
  const names = new Map<string, number>();
  const clients = probed.map((client) => {
    const count = (names.get(client.kind) ?? 0) + 1;
    names.set(client.kind, count);
    return { name: count === 1 ? client.kind : `${client.kind}-${count}`, ...client };
  });
  const silent = found.filter(
    ({ kind, url }) => !hits.some((hit) => hit.kind === kind && hit.url === url),
  );
  return {
    clients,
    notes: [
      ...silent.map(
        ({ kind, url, file }) => `no ${programName(kind)} answers at ${url}, which ${file} names`,
      ),
      ...firstOfEachKind(closed).map(
        ({ kind, file, code }) =>
          `${file}, where ${programName(kind)} may have its configuration, cannot be read (${code}): run this as a user who may`,
      ),
    ],
  };
}

/** URLs to try, by origin: what configurations say comes before what is usual. */
function originsOf(found: readonly FoundConfiguration[]): readonly (readonly string[])[] {
  const origins = new Map<string, Set<string>>();
  for (const url of [...found.map(({ url }) => url), ...DEFAULT_URLS.flat()]) {
    const { origin } = new URL(url);
    origins.set(origin, (origins.get(origin) ?? new Set()).add(url));
  }
  return [...origins.values()].map((urls) => [...urls]);
}

interface Hit {
  readonly kind: ProbeableKind;
  readonly url: string;
  readonly configuration: FoundConfiguration | undefined;
}

/** What answers at one origin. */
async function findAt(
  urls: readonly string[],
  found: readonly FoundConfiguration[],
  asker: Asker,
): Promise<Hit | undefined> {
  const [first] = urls;
  if (first === undefined || !(await asker.isListening(first))) return undefined;
  for (const url of urls) {
    const kind = await asker.recognise(url);
    if (kind === undefined || !isProbeable(kind) || kind === "haul") continue;
    const configuration = found.find((each) => each.kind === kind && each.url === url);
    return { kind, url, configuration };
  }
  return undefined;
}

async function describe(
  { kind, url, configuration }: Hit,
  asker: Asker,
): Promise<Omit<DetectedClient, "name">> {
  const { username, secret, file, downloadDirectory } = configuration ?? {};
  const login = {
    ...(username !== undefined && { username }),
    ...(secret !== undefined && { secret }),
  };
  // Of a hash there is nothing to log in with: a user name by itself would be a failed log-in.
  const probe = await asker.probe({ kind, url, ...(secret === undefined ? {} : login) });
  const isToldByItself = probe.outcome === "ok" && probe.downloadDirectory !== undefined;
  return {
    kind,
    url,
    ...login,
    ...(file !== undefined && { file }),
    ...(probe.outcome === "ok" && { version: probe.version }),
    ...(downloadDirectory !== undefined && !isToldByItself && { downloadDirectory }),
    ...missingOf(kind, configuration, probe),
  };
}

function missingOf(
  kind: string,
  configuration: FoundConfiguration | undefined,
  probe: Probe,
): Pick<DetectedClient, "missing" | "isSecretMissing"> {
  const { file, secret, isHashed, isOpen } = configuration ?? {};
  const word = secretWord(kind);
  const wants = (missing: string) => ({ missing, isSecretMissing: true }) as const;
  if (probe.outcome === "ok") {
    const isGood = probe.credentials === "accepted" || secret !== undefined || isOpen;
    return isGood ? {} : wants(`its ${word}, for which it asks others than this host`);
  }
  if (probe.outcome !== "authentication-failed") return { missing: probe.message };
  if (secret !== undefined)
    return wants(`another ${word} than the one in ${file}, which it refuses`);
  if (isHashed) return wants(`its ${word}, of which ${file} has only a hash`);
  if (file !== undefined) return wants(`its ${word}, which is not in ${file}`);
  return wants(isUserless(kind) ? `its ${word}` : `its user name and ${word}`);
}

/** Whether it is logged in to by a key, which is no password. */
export function isKeyed(kind: string): boolean {
  return kind === "aria2" || kind === "sabnzbd";
}

function isUserless(kind: string): boolean {
  return isKeyed(kind) || kind === "deluge";
}

function secretWord(kind: string): string {
  if (kind === "aria2") return "RPC secret";
  return kind === "sabnzbd" ? "API key" : "password";
}

function firstOfEachKind<Item extends { readonly kind: string }>(
  items: readonly Item[],
): readonly Item[] {
  return items.filter((item, i) => items.findIndex(({ kind }) => kind === item.kind) === i);
}
