import { join } from "node:path";
import { readOrCreatePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret, systemRandom } from "../lib/random.js";

/** Who an instance is: chosen once, kept for ever. */
export interface Identity {
  readonly instanceId: string;
  /** Proves the id to Pulse. Never logged. */
  readonly instanceSecret: string;
}

/** Name of the file in the identity's directory. */
const IDENTITY_FILE = "instance.json";

/**
 * The identity kept in `directory`, made there (`instance.json`, mode 0600) on
 * first use. Processes that start together agree on one.
 *
 * @throws Error that names the file if it cannot be read or is damaged. It is
 *   never replaced silently: that would make another instance of this one.
 */
export async function readOrCreateIdentity(
  directory: string,
  random: Random = systemRandom,
): Promise<Identity> {
  const path = join(directory, IDENTITY_FILE);
  const { text } = await readOrCreatePrivateFile(path, () => {
    const made: Identity = { instanceId: random.uuid(), instanceSecret: randomSecret(random) };
    return `${JSON.stringify(made, undefined, 2)}\n`;
  });
  return parseIdentity(text, path);
}

/** The identity given, or the one kept in the directory given; a failure is tried anew at the next call. */
export function createIdentitySource(
  identity: { readonly directory: string } | Identity,
  random: Random,
): () => Promise<Identity> {
  if (!("directory" in identity)) return () => Promise.resolve(identity);
  let known: Identity | undefined;
  return async () => {
    known ??= await readOrCreateIdentity(identity.directory, random);
    return known;
  };
}

function parseIdentity(text: string, path: string): Identity {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the file, and with it the secret.
  }
  if (typeof value === "object" && value && "instanceId" in value && "instanceSecret" in value) {
    const { instanceId, instanceSecret } = value;
    if (typeof instanceId === "string" && typeof instanceSecret === "string")
      if (/^[A-Za-z0-9._:-]{1,128}$/.test(instanceId) && /^.{16,512}$/.test(instanceSecret))
        return { instanceId, instanceSecret };
  }
  throw new Error(
    `${path} is damaged: it should hold instanceId and instanceSecret as JSON. Restore it from a backup; or delete it, and this program will be a new instance to Pulse`,
  );
}
