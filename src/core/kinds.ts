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
