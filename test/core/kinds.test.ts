import { expect, it } from "vitest";
import { knownKind } from "../../src/core/kinds.js";

// What managers rely on to log in: changing a line here breaks theirs.
it.each([
  ["qbittorrent", "torrent", "session"],
  ["transmission", "torrent", "basic"],
  ["deluge", "torrent", "password-only"],
  ["rtorrent", "torrent", "basic"],
  ["aria2", "torrent", "rpc-secret"],
  ["haul", "torrent", "api-key"],
  ["sabnzbd", "usenet", "api-key"],
  ["nzbget", "usenet", "basic"],
])("%s is a %s client, and logs in by %s", (kind, protocol, authScheme) => {
  expect(knownKind(kind)).toEqual({ protocol, authScheme });
});

it.each(["", "flood", "qBittorrent", "constructor", "__proto__"])("%j is not known", (kind) => {
  expect(knownKind(kind)).toBeUndefined();
});
