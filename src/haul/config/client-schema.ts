import { z } from "zod";
import { NAME_RULE } from "../../lib/text-rule.js";
import { FRONTABLE_KINDS } from "../fronted-client.js";
import { isList, isMap, refuseSeveral, refuseTwice } from "./rules.js";
import {
  absolutePath,
  clientUrl,
  duration,
  host,
  path,
  size,
  text,
  variable,
  wants,
  yesOrNo,
} from "./values.js";

/** As in the contract. */
const MAX_PATH_MAPPINGS = 32;

const vpn = z
  .strictObject(
    {
      container: host
        .optional()
        .describe(
          "Host name of the VPN container whose network the client has: managers find it there.",
        ),
      check: text({ min: 1, max: 4_096 }, "a command for sh -c, such as wg show wg0")
        .optional()
        .describe(
          "Command for `sh -c` that exits with 0 if the VPN is up. If it does not, the client is DEGRADED.",
        ),
    },
    { error: wants("container, check or both, as in { container: gluetun }") },
  )
  .superRefine(({ container, check }, context) => {
    if (container === undefined && check === undefined)
      context.addIssue("must have container, check or both");
  })
  .describe("The VPN behind which the client is.");

const pathMapping = z
  .strictObject(
    {
      client: absolutePath.describe("A directory as the client writes it."),
      manager: absolutePath.describe("The same directory as media managers write it."),
    },
    { error: wants("two paths, as in { client: /downloads, manager: /data/downloads }") },
  )
  .describe("Two names of one directory, and of all that is below it.");

/** A download client in the file, with all that may be said of it. */
export const clientSchema = z
  .strictObject(
    {
      name: text(NAME_RULE, "a name for people, such as qbittorrent").describe(
        "Name for people, unique in this file. Haul keeps the client's identity by it: under another name it is another client.",
      ),
      kind: z
        .enum(FRONTABLE_KINDS, { error: wants(`one of ${FRONTABLE_KINDS.join(", ")}`) })
        .describe("What the download client is."),
      url: clientUrl.describe("Where Haul reaches it, with its URL base if it has one."),
      username: text({ max: 256 }, "the user to log in as")
        .optional()
        .describe("User to log in as."),
      password_file: path
        .optional()
        .describe(
          "File with the password in one line. A relative path begins at this file's directory.",
        ),
      password_env: variable.optional().describe("Environment variable of Haul with the password."),
      api_key_file: path
        .optional()
        .describe(
          "File with the API key or RPC secret in one line. A relative path begins at this file's directory.",
        ),
      api_key_env: variable
        .optional()
        .describe("Environment variable of Haul with the API key or RPC secret."),
      enabled: yesOrNo.optional().describe("false: left out, as if it were not here."),
      advertise_url: clientUrl
        .optional()
        .describe("URL at which media managers reach the client, if that is not url."),
      advertise_host: host
        .optional()
        .describe("Host at which media managers reach the client, if that is not the one in url."),
      vpn: vpn.optional(),
      min_free: size
        .optional()
        .describe(
          "With less free space than that the client is DEGRADED: bytes, or a size such as 5GiB. 0: never.",
        ),
      stalled_after: duration
        .optional()
        .describe(
          "If nothing arrives for so long though something should, the client is DEGRADED: a duration such as 30m. 0: never.",
        ),
      download_directory: absolutePath
        .optional()
        .describe(
          "Where the client puts what it has fetched, as it writes that. Left out: what it says itself.",
        ),
      path_mappings: z
        .array(pathMapping, { error: wants("a list of path mappings") })
        .max(MAX_PATH_MAPPINGS, { error: `must have at most ${MAX_PATH_MAPPINGS} items` })
        .superRefine(refuseTwice("path_mappings", "client"), { when: isList })
        .optional()
        .describe("How media managers write the client's directories."),
    },
    { error: wants("a download client with its keys, as in - name: qbittorrent") },
  )
  .superRefine(
    refuseSeveral(["password_file", "password_env", "api_key_file", "api_key_env"], "the secret"),
    { when: isMap },
  )
  .superRefine(
    refuseSeveral(["advertise_url", "advertise_host", "vpn.container"], "the address for managers"),
    { when: isMap },
  )
  .describe("A download client.");

/** The keys that are known, by the name of what they are below. */
export const CLIENT_KEYS = {
  clients: Object.keys(clientSchema.shape),
  vpn: Object.keys(vpn.shape),
  path_mappings: Object.keys(pathMapping.shape),
};

export type ClientEntry = z.output<typeof clientSchema>;
