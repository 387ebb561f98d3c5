import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countInLog, type RealClientKind, type UsenetAccount } from "./real-client.js";

export const NZBGET: RealClientKind = {
  kind: "nzbget",
  title: "NZBGet",
  programs: ["nzbget"],
  releases: ["installed"], // trixie has none
  hasUsers: true,
  configure: ({
    directory,
    ownDirectory,
    ownDownloads,
    port,
    isOpen,
    username,
    password,
    usenet,
  }) =>
    writeFile(
      join(directory, "nzbget.conf"),
      [
        `MainDir=${ownDirectory}`,
        `DestDir=${ownDownloads}`,
        `InterDir=${ownDirectory}/incomplete`,
        `LockFile=${ownDirectory}/nzbget.lock`,
        `LogFile=${ownDirectory}/nzbget.log`,
        "WriteLog=append",
        "OutputMode=log",
        `ControlIP=${isOpen ? "0.0.0.0" : "127.0.0.1"}`,
        `ControlPort=${port}`,
        `ControlUsername=${username}`,
        `ControlPassword=${password}`,
        ...server(usenet ?? NOWHERE),
      ].join("\n"),
    ),
  commands: ({ ownDirectory, port }) => [
    { words: ["nzbget", "-c", `${ownDirectory}/nzbget.conf`, "-s"], port },
  ],
  refusedLogins: ({ directory }) =>
    countInLog(join(directory, "nzbget.log"), "or password invalid"),
};

/** With no server at all it never rests: one of its threads takes what it can get of a core. */
const NOWHERE: UsenetAccount = { host: "127.0.0.1", port: 9, username: "", password: "" };

function server({ host, port, username, password }: UsenetAccount): readonly string[] {
  return [
    "Server1.Active=yes",
    `Server1.Host=${host}`,
    `Server1.Port=${port}`,
    `Server1.Username=${username}`,
    `Server1.Password=${password}`,
    "Server1.Encryption=no",
    "Server1.Connections=2",
  ];
}
