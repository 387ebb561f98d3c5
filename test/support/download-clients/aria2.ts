import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countInLog, type RealClientKind } from "./real-client.js";

export const ARIA2: RealClientKind = {
  kind: "aria2",
  title: "aria2",
  programs: ["aria2c"],
  releases: ["installed", "trixie"],
  hasUsers: false,
  configure: ({ directory, ownDirectory, ownDownloads, port, isOpen, password, peers }) =>
    writeFile(
      join(directory, "aria2.conf"),
      [
        "enable-rpc=true",
        `rpc-listen-all=${isOpen}`,
        `rpc-listen-port=${port}`,
        `rpc-secret=${password}`,
        `dir=${ownDownloads}`,
        "disable-ipv6=true",
        "enable-dht=false",
        "bt-enable-lpd=false",
        "check-integrity=true",
        "seed-ratio=0",
        // With it, it listens there alone, whatever else is said.
        ...(isOpen ? [] : [`interface=${peers.host}`]),
        `listen-port=${peers.port}`,
        // Only so does it tell of log-ins that it refuses.
        "log-level=debug",
        `log=${ownDirectory}/aria2.log`,
        "quiet=true",
      ].join("\n"),
    ),
  commands: ({ ownDirectory, port }) => [
    { words: ["aria2c", `--conf-path=${ownDirectory}/aria2.conf`], port },
  ],
  refusedLogins: ({ directory }) => countInLog(join(directory, "aria2.log"), " Unauthorized"),
};
