import { z } from "zod";
import { parsePulseAddresses } from "../../client/index.js";
import { readHostPort } from "../../lib/host-port.js";
import { CLIENT_KEYS, clientSchema } from "./client-schema.js";
import { isList, refuseTwice } from "./rules.js";
import { checkedText, path, wants } from "./values.js";

// The configuration file of Haul: what it may hold, in words for its readers. The schema
// for editors (docs/haul.schema.json) is made from this; docs/haul.md says it in prose.

/** As many as one Haul is meant for. */
export const MAX_CLIENTS = 64;

const PULSE_FORM =
  "Pulse's address without a path or user name, such as https://pulse:9696, or those of several nodes with commas between";
const LISTEN_FORM = "HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9797 or [::1]:9797";
const COUNT_FORM = `must have 1 to ${MAX_CLIENTS} download clients`;

export const configSchema = z
  .strictObject(
    {
      $schema: path.optional().describe("For editors: where this schema is. Haul ignores it."),
      pulse: checkedText({ min: 1, max: 4_096 }, PULSE_FORM, (value) =>
        pulseAddresses(value) ? undefined : `must be ${PULSE_FORM}`,
      )
        .optional()
        .describe("Where Pulse is; several nodes with commas between. --pulse and PULSE_URL win."),
      token_file: path
        .optional()
        .describe(
          "File with the token for Pulse. --token-file, PULSE_TOKEN and PULSE_TOKEN_FILE win.",
        ),
      listen: checkedText({ min: 1, max: 300 }, LISTEN_FORM, (value) =>
        readHostPort(value) ? undefined : `must be ${LISTEN_FORM}`,
      )
        .optional()
        .describe("HOST:PORT at which Haul's own API listens. --listen and HAUL_LISTEN win."),
      clients: z
        .array(clientSchema, { error: wants(`a list of 1 to ${MAX_CLIENTS} download clients`) })
        .min(1, { error: COUNT_FORM })
        .max(MAX_CLIENTS, { error: COUNT_FORM })
        .superRefine(refuseTwice("clients", "name", asName), { when: isList })
        // One client would be two entries, and a wrong password be sent to it twice.
        .superRefine(refuseTwice("clients", "url", asUrl, true), { when: isList })
        .describe("The download clients beside which Haul stands."),
    },
    { error: wants("keys with their values, clients among them") },
  )
  .describe("Configuration of Haul, the agent beside download clients.");

/** The keys that are known, by the name of what they are below; empty: the file's own. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(configSchema.shape).filter((key) => key !== "$schema"),
  ...CLIENT_KEYS,
};

/** Addresses of Pulse's nodes; undefined if the text is none. */
export function pulseAddresses(text: string): readonly string[] | undefined {
  try {
    return parsePulseAddresses(text);
  } catch {
    return undefined;
  }
}

/** `http://nas` and `http://nas:80/` are one. */
function asUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href.replace(/\/+$/, "") : text;
}

/** Names that only capitals tell apart are one: so they are on many file systems. */
function asName(name: string): string {
  return name.normalize("NFC").toLowerCase();
}
