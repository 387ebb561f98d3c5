import { type ConfigurationReader, downloadDirectory, field, localUrl } from "../configuration.js";
import { parseIni } from "../ini.js";

/** aria2.conf; its RPC secret is there in clear, unless it was given on the command line. */
export const ARIA2_READER: ConfigurationReader = {
  kind: "aria2",
  inHome: [".aria2/aria2.conf", ".config/aria2/aria2.conf"],
  serviceHomes: ["/var/lib/aria2*"],
  elsewhere: ["/etc/aria2/aria2.conf"],
  read(text, home) {
    const ini = parseIni(text);
    if (ini("", "enable-rpc") !== "true") return undefined;
    const url = localUrl({
      isTls: ini("", "rpc-secure") === "true",
      port: ini("", "rpc-listen-port") ?? "6800",
    });
    if (url === undefined) return undefined;
    const secret = ini("", "rpc-secret");
    return {
      url,
      ...(secret ? field("secret", secret) : { isOpen: true }),
      ...downloadDirectory(ini("", "dir")?.replace(/\$\{HOME\}/, "~"), home),
    };
  },
};
