import { Document, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import { oneLine } from "../../lib/one-line.js";
import { programName } from "../program-names.js";
import { type DetectedClient, isKeyed } from "./detect.js";

const MAX_COMMENT_LENGTH = 1_000;
const HEAD = ` The download clients that "haul detect" found on this host.
 Use it with: haul run --config FILE`;

/**
 * The configuration of a Haul for these clients. One of which something is missing is
 * switched off, and a comment says what to do.
 * @param secretFileOf where the secret of a client is to be found, seen from the configuration
 */
export function configText(
  clients: readonly DetectedClient[],
  secretFileOf: (client: DetectedClient) => string,
): string {
  const document = new Document({
    clients: clients.map((client) => settingsOf(client, secretFileOf)),
  });
  document.commentBefore = HEAD;
  const items = (document.get("clients") as YAMLSeq<YAMLMap>).items;
  for (const [i, client] of clients.entries()) {
    const enabled = items[i]?.items.find(({ key }) => (key as Scalar).value === "enabled");
    const todo = todoOf(client);
    if (enabled && todo !== undefined) (enabled.key as Scalar).commentBefore = todo;
  }
  return document.toString({ lineWidth: 0 });
}

/** What is missing, for a comment and for people; undefined: nothing. */
export function missingText(client: DetectedClient): string | undefined {
  const { kind, missing, isSecretMissing } = client;
  return isSecretMissing ? `${programName(kind)} needs ${missing}` : missing;
}

function todoOf(client: DetectedClient): string | undefined {
  const missing = missingText(client);
  const mend = client.isSecretMissing
    ? "Write it into that file (chmod 600), and then say true here."
    : "Mend that, and then say true here.";
  return missing && ` ${oneLine(missing, MAX_COMMENT_LENGTH)}.\n ${mend}`;
}

function settingsOf(
  client: DetectedClient,
  secretFileOf: (client: DetectedClient) => string,
): Record<string, unknown> {
  const { name, kind, url, username, secret, isSecretMissing, missing, downloadDirectory } = client;
  return {
    name,
    kind,
    url,
    ...(username !== undefined && { username }),
    ...((secret !== undefined || isSecretMissing) && {
      [isKeyed(kind) ? "api_key_file" : "password_file"]: secretFileOf(client),
    }),
    ...(downloadDirectory !== undefined && { download_directory: downloadDirectory }),
    enabled: missing === undefined,
  };
}
