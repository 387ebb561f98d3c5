const NAMES: Readonly<Record<string, string>> = {
  aria2: "aria2",
  deluge: "Deluge",
  nzbget: "NZBGet",
  qbittorrent: "qBittorrent",
  sabnzbd: "SABnzbd",
  transmission: "Transmission",
};

/** A kind of download client as its makers write it; one that is not known, as it is. */
export function programName(kind: string): string {
  return Object.hasOwn(NAMES, kind) ? (NAMES[kind] ?? kind) : kind;
}
