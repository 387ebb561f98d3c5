import { type ConfigurationReader, downloadDirectory, localUrl } from "../configuration.js";
import { parseIni, unquoted } from "../ini.js";

/** qBittorrent.conf, an INI file by Qt's rules. */
export const QBITTORRENT_READER: ConfigurationReader = {
  kind: "qbittorrent",
  // The second is that of a profile, which has a directory of its own.
  inHome: [".config/qBittorrent/qBittorrent.conf", "qBittorrent/config/qBittorrent.conf"],
  serviceHomes: ["/var/lib/qbittorrent*"],
  elsewhere: [],
  read(text, home) {
    const ini = parseIni(text);
    const webUi = (key: string) => qtText(ini("Preferences", `WebUI\\${key}`));
    // Written by the program with windows only when somebody has looked; that without is nothing else.
    if (webUi("Enabled") === "false") return undefined;
    const url = localUrl({
      isTls: webUi("HTTPS\\Enabled") === "true",
      host: webUi("Address"),
      port: webUi("Port") ?? "8080",
    });
    if (url === undefined) return undefined;
    const directory =
      ini("BitTorrent", "Session\\DefaultSavePath") ?? ini("Preferences", "Downloads\\SavePath");
    return {
      url,
      username: webUi("Username") || "admin",
      isHashed: true,
      ...downloadDirectory(qtText(directory), home),
    };
  },
};

/** Qt quotes what holds a separator, and writes what is not Latin-1 as `\x20ac`. */
function qtText(value: string | undefined): string | undefined {
  return unquoted(value)
    ?.replace(/\\x([\da-f]{1,4})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\\(["\\])/g, "$1");
}
