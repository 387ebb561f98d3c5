import { isObject, parseJson } from "../../../adapters/json.js";
import { type ConfigurationReader, downloadDirectory, field, localUrl } from "../configuration.js";

/** settings.json; the password is in clear there until Transmission starts with it. */
export const TRANSMISSION_READER: ConfigurationReader = {
  kind: "transmission",
  inHome: [
    ".config/transmission-daemon/settings.json",
    ".config/transmission/settings.json",
    "info/settings.json",
  ],
  serviceHomes: ["/var/lib/transmission*"],
  elsewhere: ["/etc/transmission-daemon/settings.json"],
  read(text, home) {
    const settings = parseJson(text);
    if (!isObject(settings)) return undefined;
    const textOf = (name: string) => {
      const value = settings[name];
      return typeof value === "string" ? value : undefined;
    };
    if (isOff(settings["rpc-enabled"])) return undefined;
    const url = localUrl({
      host: textOf("rpc-bind-address"),
      port: Number(settings["rpc-port"] ?? 9091),
      base: textOf("rpc-url")?.replace(/transmission\/?$/, ""),
    });
    if (url === undefined) return undefined;
    const directory = downloadDirectory(textOf("download-dir"), home);
    const isOpen = isOff(settings["rpc-authentication-required"] ?? false);
    if (isOpen) return { url, isOpen: true, ...directory };
    const password = textOf("rpc-password");
    const isHashed = password?.startsWith("{");
    return {
      url,
      ...field("username", textOf("rpc-username")),
      ...(isHashed ? { isHashed } : field("secret", password)),
      ...directory,
    };
  },
};

/** Versions before 3 write 0 and 1. */
function isOff(value: unknown): boolean {
  return value === false || value === 0;
}
