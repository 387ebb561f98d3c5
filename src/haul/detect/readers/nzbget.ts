import { type ConfigurationReader, downloadDirectory, field, localUrl } from "../configuration.js";
import { parseIni } from "../ini.js";

/** nzbget.conf; its password is there in clear. */
export const NZBGET_READER: ConfigurationReader = {
  kind: "nzbget",
  inHome: [".nzbget", "nzbget.conf"],
  serviceHomes: ["/var/lib/nzbget*"],
  elsewhere: ["/etc/nzbget.conf", "/usr/local/etc/nzbget.conf", "/opt/etc/nzbget.conf"],
  read(text, home) {
    const ini = parseIni(text);
    /** Options may name others: `${MainDir}/dst`. Three levels are more than anybody uses. */
    const option = (name: string, depth = 3): string | undefined =>
      ini("", name)?.replace(/\$\{(\w+)\}/g, (_, other) =>
        depth === 0 ? "" : (option(other, depth - 1) ?? ""),
      );
    if (option("ControlPort") === undefined && option("MainDir") === undefined) return undefined;
    const isTls = option("SecureControl") === "yes";
    const url = localUrl({
      isTls,
      host: option("ControlIP"),
      port: isTls ? (option("SecurePort") ?? "6791") : (option("ControlPort") ?? "6789"),
    });
    if (url === undefined) return undefined;
    const password = ini("", "ControlPassword");
    return {
      url,
      ...field("username", ini("", "ControlUsername")),
      ...(password === "" ? { isOpen: true } : field("secret", password)),
      ...downloadDirectory(option("DestDir"), home),
    };
  },
};
