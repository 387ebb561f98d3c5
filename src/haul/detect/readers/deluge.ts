import { isObject, parseJson } from "../../../adapters/json.js";
import { type ConfigurationReader, localUrl } from "../configuration.js";

/** web.conf of Deluge's Web UI: two JSON objects, the first of which says the format of the second. */
export const DELUGE_READER: ConfigurationReader = {
  kind: "deluge",
  inHome: [".config/deluge/web.conf", "config/web.conf"],
  serviceHomes: ["/var/lib/deluge*"],
  elsewhere: [],
  read(text) {
    const settings = parseJson(text.slice(text.search(/\}\s*\{/) + 1));
    if (!isObject(settings) || settings.pwd_sha1 === undefined) return undefined;
    const { https, port = 8112, base } = settings;
    const url = localUrl({
      isTls: https === true,
      host: typeof settings.interface === "string" ? settings.interface : "",
      port: Number(port),
      base: typeof base === "string" ? base : "",
    });
    return url === undefined ? undefined : { url, isHashed: true };
  },
};
