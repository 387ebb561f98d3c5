import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RealClientKind } from "./real-client.js";

export const TRANSMISSION: RealClientKind = {
  kind: "transmission",
  title: "Transmission",
  programs: ["transmission-daemon"],
  releases: ["installed", "trixie"],
  hasUsers: true,
  configure: ({ directory, ownDownloads, port, isOpen, username, password, peers }) =>
    writeFile(
      join(directory, "settings.json"),
      JSON.stringify({
        "bind-address-ipv4": peers.host,
        "bind-address-ipv6": "::1",
        "dht-enabled": false,
        "download-dir": ownDownloads,
        "lpd-enabled": false,
        "peer-port": peers.port,
        "port-forwarding-enabled": false,
        "rpc-authentication-required": true,
        "rpc-bind-address": isOpen ? "0.0.0.0" : "127.0.0.1",
        "rpc-password": password,
        "rpc-port": port,
        "rpc-username": username,
        "rpc-whitelist": isOpen ? "*" : "127.0.0.1",
        "utp-enabled": false,
      }),
    ),
  commands: ({ ownDirectory, port }) => [
    { words: ["transmission-daemon", "-f", "-g", ownDirectory], port },
  ],
};
