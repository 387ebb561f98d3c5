import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countInLog, type RealClientKind, type UsenetAccount } from "./real-client.js";

export const SABNZBD: RealClientKind = {
  kind: "sabnzbd",
  title: "SABnzbd",
  programs: ["sabnzbdplus"],
  releases: ["installed", "trixie"],
  hasUsers: false,
  async configure({ directory, ownDirectory, ownDownloads, port, isOpen, password, usenet }) {
    await mkdir(join(directory, "incomplete"), { recursive: true });
    await writeFile(
      join(directory, "sabnzbd.ini"),
      [
        "__version__ = 19",
        "__encoding__ = utf-8",
        "[misc]",
        `host = ${isOpen ? "0.0.0.0" : "127.0.0.1"}`,
        `port = ${port}`,
        `api_key = ${password}`,
        "nzb_key = the key for adding only",
        "auto_browser = 0",
        "check_new_rel = 0",
        "helpfull_warnings = 0",
        `download_dir = ${ownDirectory}/incomplete`,
        `complete_dir = ${ownDownloads}`,
        `log_dir = ${ownDirectory}/logs`,
        `admin_dir = ${ownDirectory}/admin`,
        "[servers]",
        ...(usenet ? server(usenet) : []),
      ].join("\n"),
    );
  },
  commands: ({ ownDirectory, port }) => [
    { words: ["sabnzbdplus", "-f", `${ownDirectory}/sabnzbd.ini`, "-b", "0", "-l", "1"], port },
  ],
  refusedLogins: ({ directory }) =>
    countInLog(join(directory, "logs", "sabnzbd.log"), "] API key incorrect"),
};

function server({ host, port, username, password }: UsenetAccount): readonly string[] {
  return [
    "[[news]]",
    "name = news",
    `host = ${host}`,
    `port = ${port}`,
    `username = ${username}`,
    `password = ${password}`,
    "connections = 2",
    "ssl = 0",
    "enable = 1",
  ];
}
