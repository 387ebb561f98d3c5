import { isAbsolute, join } from "node:path";
import { type ConfigurationReader, downloadDirectory, field, localUrl } from "../configuration.js";
import { parseIni, unquoted } from "../ini.js";

/** sabnzbd.ini; its API key is there in clear. */
export const SABNZBD_READER: ConfigurationReader = {
  kind: "sabnzbd",
  inHome: [".sabnzbd/sabnzbd.ini", "sabnzbd.ini"],
  serviceHomes: ["/var/lib/sabnzbd*"],
  elsewhere: [],
  read(text, home) {
    const ini = parseIni(text);
    const misc = (key: string) => unquoted(ini("misc", key));
    const key = misc("api_key");
    if (key === undefined) return undefined;
    const isTls = misc("enable_https") === "1";
    const url = localUrl({
      isTls,
      host: misc("host"),
      port: (isTls && misc("https_port")) || misc("port") || "8080",
      base: misc("url_base") ?? "/sabnzbd",
    });
    if (url === undefined) return undefined;
    const directory = misc("complete_dir");
    const isRelative = home !== undefined && directory && !isAbsolute(directory);
    return {
      url,
      ...field("secret", key),
      ...downloadDirectory(isRelative ? join(home, directory) : directory, home),
    };
  },
};
