import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { readOrCreatePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { StartError } from "./start-error.js";

/** A secret kept in a file of the state directory (0600), made there on first use. */
export async function readOrCreateKey(
  stateDirectory: string,
  name: string,
  random: Random,
): Promise<string> {
  const path = join(stateDirectory, name);
  const { text } = await readOrCreatePrivateFile(path, () => `${randomSecret(random)}\n`);
  const key = text.trim();
  if (!/^[\x21-\x7e]{16,512}$/.test(key))
    throw new StartError(
      `${path} is damaged: it should be one line of 16 to 512 characters without spaces; delete it, and a new one is made`,
    );
  return key;
}

/** Whether the headers hold one of the keys, as `x-api-key` or as bearer token. Takes as long for any wrong key. */
export function holdsKey(headers: IncomingHttpHeaders, keys: readonly string[]): boolean {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  const given = digest(String(headers["x-api-key"] ?? bearer ?? ""));
  let holds = false;
  for (const key of keys) holds = timingSafeEqual(given, digest(key)) || holds;
  return holds;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
