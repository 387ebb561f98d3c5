import type { TextRule } from "./text.js";

/** How a download client fetches. */
export type DownloadProtocol = "torrent" | "usenet";

/** How a manager logs in to it. */
export type AuthScheme =
  | "none"
  | "session"
  | "basic"
  | "api-key"
  | "rpc-secret"
  | "password-only"
  | "unknown";

interface Kind {
  readonly protocol: DownloadProtocol;
  readonly authScheme: AuthScheme;
}

/** The kinds whose protocol and way to log in Pulse knows by itself. */
const KNOWN_KINDS: ReadonlyMap<string, Kind> = new Map([
  ["qbittorrent", { protocol: "torrent", authScheme: "session" }],
  ["transmission", { protocol: "torrent", authScheme: "basic" }],
  ["deluge", { protocol: "torrent", authScheme: "password-only" }],
  ["rtorrent", { protocol: "torrent", authScheme: "basic" }],
  ["aria2", { protocol: "torrent", authScheme: "rpc-secret" }],
  ["haul", { protocol: "torrent", authScheme: "api-key" }],
  ["sabnzbd", { protocol: "usenet", authScheme: "api-key" }],
  ["nzbget", { protocol: "usenet", authScheme: "basic" }],
]);

export function knownKind(kind: string): Kind | undefined {
  return KNOWN_KINDS.get(kind);
}

export const KIND_RULE: TextRule = {
  max: 64,
  pattern: /^[a-z0-9][a-z0-9._-]*$/,
  form: "lower-case letters, digits, dots, hyphens and underscores, such as qbittorrent",
};

/** What is wrong with the protocol that was stated for a kind, or undefined. */
export function protocolProblem(
  kind: string,
  stated: DownloadProtocol | undefined,
): string | undefined {
  const known = knownKind(kind)?.protocol;
  if (known === undefined)
    return stated === undefined
      ? "is required for a kind that Pulse does not know: state torrent or usenet"
      : undefined;
  if (stated === undefined || stated === known) return undefined;
  return `must be ${known} for kind ${kind}; leave it out`;
}
