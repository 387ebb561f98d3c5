import { pbkdf2Sync, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countInLog, type RealClientKind } from "./real-client.js";

export const QBITTORRENT: RealClientKind = {
  kind: "qbittorrent",
  title: "qBittorrent",
  programs: ["qbittorrent-nox"],
  releases: ["installed", "trixie"],
  hasUsers: true,
  async configure({ directory, ownDownloads, port, isOpen, username, password, peers }) {
    const config = join(directory, "qBittorrent", "config");
    await mkdir(config, { recursive: true });
    await writeFile(
      join(config, "qBittorrent.conf"),
      [
        "[LegalNotice]",
        "Accepted=true",
        "[BitTorrent]",
        "Session\\DHTEnabled=false",
        "Session\\LSDEnabled=false",
        "Session\\BTProtocol=TCP",
        "Session\\MultiConnectionsPerIp=true",
        "Session\\Interface=lo",
        "Session\\InterfaceName=lo",
        `Session\\InterfaceAddress=${peers.host}`,
        `Session\\Port=${peers.port}`,
        `Session\\DefaultSavePath=${ownDownloads}`,
        "[Preferences]",
        `WebUI\\Address=${isOpen ? "*" : "127.0.0.1"}`,
        `WebUI\\Port=${port}`,
        `WebUI\\Username=${username}`,
        `WebUI\\Password_PBKDF2="${passwordHash(password)}"`,
        "WebUI\\LocalHostAuth=true",
        "WebUI\\UseUPnP=false",
      ].join("\n"),
    );
  },
  commands: ({ ownDirectory, port }) => [
    { words: ["qbittorrent-nox", `--profile=${ownDirectory}`], port },
  ],
  refusedLogins: ({ directory }) =>
    countInLog(
      join(directory, "qBittorrent", "data", "logs", "qbittorrent.log"),
      "WebAPI login failure",
    ),
};

/** The form in which qBittorrent keeps a password. */
function passwordHash(password: string): string {
  const salt = randomBytes(16);
  const key = pbkdf2Sync(password, salt, 100_000, 64, "sha512");
  return `@ByteArray(${salt.toString("base64")}:${key.toString("base64")})`;
}
