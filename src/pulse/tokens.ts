import { hash, timingSafeEqual } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DomainError } from "../core/errors.js";
import { isExpired, type Scope, type TokenRecord } from "../core/token.js";
import { createToken } from "../core/token-command.js";
import { forgetLastMatch } from "../lib/last-match.js";
import type { Log } from "../lib/log.js";
import { readOrCreatePrivateFile, readPrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import type { Registry } from "./registry.js";

/** `pulse_ID_SECRET`: the id finds the record, the secret proves it, the prefix lets scanners of leaked secrets find it. */
const TOKEN_FORM = /^pulse_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** SHA-256, base64url. Right for random secrets of 256 bits; passwords would need a slow hash. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

export function newToken(random: Random): { id: string; token: string; hash: string } {
  const { id, textFor } = newTokenSecret(random);
  const token = textFor(id);
  return { id, token, hash: hashSecret(token) };
}

/** A new id, and a new secret, which may go with another id as well. */
export function newTokenSecret(random: Random): { id: string; textFor: (id: string) => string } {
  const id = Buffer.from(random.bytes(8)).toString("hex");
  const secret = randomSecret(random);
  return { id, textFor: (of) => `pulse_${of}_${secret}` };
}

/**
 * The record of a token, if it is valid.
 * @param at wall-clock ms
 * @throws DomainError of kind `unauthenticated`; it does not say whether the id
 *   exists, and whether it has expired only to who has the whole token.
 */
export function verifyToken(
  authorization: string | undefined,
  tokenById: (id: string) => TokenRecord | undefined,
  at: number,
): TokenRecord {
  if (authorization === undefined)
    throw new DomainError("send the header `authorization: Bearer TOKEN`", {
      kind: "unauthenticated",
      reason: "TOKEN_MISSING",
    });
  const token = /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
  const record = tokenById(idIn(token) ?? "");
  const presented = Buffer.from(hashSecret(token));
  const expected = record ? Buffer.from(record.hash) : presented;
  const matches = timingSafeEqual(presented, expected);
  if (!record || !matches) throw invalidToken();
  refuseEnded(record, at);
  return record;
}

/** @throws DomainError of kind `unauthenticated` if the token was revoked, or has expired. */
export function refuseEnded(record: TokenRecord, at: number): void {
  if (record.revokedAt !== undefined) throw invalidToken();
  if (isExpired(record, at)) throw expiredToken();
}

export function expiredToken(): DomainError {
  return new DomainError("the token has expired: ask for another", {
    kind: "unauthenticated",
    reason: "TOKEN_EXPIRED",
  });
}

/** The id that a token names; undefined if it is none. */
function idIn(token: string): string | undefined {
  const id = TOKEN_FORM.exec(token)?.[1];
  forgetLastMatch();
  return id;
}

export function invalidToken(): DomainError {
  return new DomainError("the token is not valid: it is unknown or was revoked", {
    kind: "unauthenticated",
    reason: "TOKEN_INVALID",
  });
}

export interface TokenFiles {
  /** Scopes register and discover: for Haul and for managers on this host. */
  readonly service: string;
  /** Scope admin: for the command line on this host. */
  readonly admin: string;
}

export interface TokenFilesOptions {
  readonly directory: string;
  /** Other Pulses have files of their own: the first start in this directory counts. */
  readonly isShared: boolean;
  readonly registry: Registry;
  readonly random: Random;
  readonly log: Log;
}

/**
 * The token files of the data directory. A first start makes them. A file whose
 * token the store does not know is adopted: whoever can write here may do
 * everything anyway, and so a store that was wiped goes on with the tokens that
 * its clients hold. A file that was taken away later is not made again.
 */
export async function prepareTokenFiles({
  directory,
  isShared,
  registry,
  random,
  log,
}: TokenFilesOptions): Promise<TokenFiles> {
  const files: TokenFiles = {
    service: join(directory, "service.token"),
    admin: join(directory, "admin.token"),
  };
  const isFirstStart = isShared
    ? await isEmpty(directory)
    : [...registry.catalog.tokens()].length === 0;
  // Both files before either token: a first start that is cut short must still be one, or be whole.
  const service = await readTokenFile(files.service);
  const admin = await readTokenFile(files.admin);
  await adopt(service, "service", ["register", "discover"]);
  await adopt(admin, "admin", ["admin"]);
  return files;

  async function readTokenFile(path: string): Promise<string> {
    const text = isFirstStart
      ? (await readOrCreatePrivateFile(path, () => `${newToken(random).token}\n`)).text
      : await readPrivateFile(path);
    return text?.trim() ?? "";
  }

  async function adopt(
    token: string,
    name: keyof TokenFiles,
    scopes: readonly Scope[],
  ): Promise<void> {
    const id = idIn(token);
    if (id === undefined && token !== "")
      log.warn({ path: files[name] }, "pulse.token_file_unusable"); // left as it is: it is somebody's
    if (id === undefined || registry.catalog.token(id)) return;
    await registry.run(createToken({ id, name, scopes, hash: hashSecret(token) }));
  }
}

/** Or missing. */
function isEmpty(directory: string): Promise<boolean> {
  return readdir(directory).then(
    (files) => files.length === 0,
    () => true,
  );
}
