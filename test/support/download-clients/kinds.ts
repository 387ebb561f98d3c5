import { ARIA2 } from "./aria2.js";
import { DELUGE } from "./deluge.js";
import { NZBGET } from "./nzbget.js";
import { QBITTORRENT } from "./qbittorrent.js";
import type { RealClientKind } from "./real-client.js";
import { SABNZBD } from "./sabnzbd.js";
import { TRANSMISSION } from "./transmission.js";

/** Every kind that a Haul can front. */
export const REAL_KINDS: readonly RealClientKind[] = [
  QBITTORRENT,
  TRANSMISSION,
  DELUGE,
  ARIA2,
  SABNZBD,
  NZBGET,
];
