import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RealClientKind } from "./real-client.js";

/** The id by which deluge-web knows its daemon, and the password that these two share. */
const [DAEMON, DAEMON_PASSWORD] = ["da".repeat(16), "5e".repeat(20)];

export const DELUGE: RealClientKind = {
  kind: "deluge",
  title: "Deluge",
  programs: ["deluged", "deluge-web"],
  releases: ["installed", "trixie"],
  hasUsers: false,
  async configure({ directory, ownDownloads, port, secondPort, password, peers }) {
    const write = (file: string, text: string) => writeFile(join(directory, file), text);
    await write("auth", `localclient:${DAEMON_PASSWORD}:10\n`);
    await write(
      "core.conf",
      configuration(1, {
        allow_remote: false,
        daemon_port: secondPort,
        dht: false,
        download_location: ownDownloads,
        listen_interface: peers.host,
        listen_ports: [peers.port, peers.port],
        lsd: false,
        natpmp: false,
        new_release_check: false,
        outgoing_interface: peers.host,
        random_port: false,
        upnp: false,
      }),
    );
    const hosts = [[DAEMON, "127.0.0.1", secondPort, "localclient", DAEMON_PASSWORD]];
    await write("hostlist.conf", configuration(3, { hosts }));
    const salt = randomBytes(20).toString("hex");
    await write(
      "web.conf",
      configuration(2, {
        default_daemon: DAEMON,
        first_login: false,
        interface: "127.0.0.1",
        port,
        pwd_salt: salt,
        pwd_sha1: createHash("sha1").update(salt).update(password).digest("hex"),
      }),
    );
  },
  commands: ({ ownDirectory, port, isOpen, secondPort }) => [
    {
      words: ["deluged", "-d", "-c", ownDirectory, "-u", "127.0.0.1", "-p", `${secondPort}`],
      port: secondPort,
    },
    {
      words: [
        "deluge-web",
        "-d",
        "-c",
        ownDirectory,
        "-i",
        isOpen ? "0.0.0.0" : "127.0.0.1",
        "-p",
        `${port}`,
      ],
      port,
    },
  ],
};

/** As Deluge keeps it: two JSON objects, the first of which says how the second is to be read. */
function configuration(version: number, values: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ file: version, format: 1 }) + JSON.stringify(values);
}
