import { constants } from "node:fs";
import { access, chmod, chown, lstat, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Adapter, type ClientTarget, type Probe, ProbeError } from "../adapters/adapter.js";
import { createAdapter } from "../adapters/probe.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { readIfPresent, writePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { readSecretFile } from "../lib/secret-file.js";
import type { FrontedClient } from "./fronted-client.js";
import { RotationFailed, RotationRefused } from "./rotation.js";

/** In the state directory: a password that the client has been given, or was about to be. */
const PENDING_FILE = "client.secret.pending";

export interface ClientSecretOptions {
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The secret of a download client that an operator named, and how it is changed. */
export interface ClientSecret {
  /** How to log in now. */
  readonly target: ClientTarget;
  /**
   * Finishes what a crash has cut off, if there is anything. To be called before a probe.
   * @returns a probe by the way, if that was the case and the client answered.
   */
  settle(signal: AbortSignal): Promise<Probe | undefined>;
  /**
   * Gives the client a new secret and writes it into the operator's file.
   * @param announce called when `target` has another secret, which is still to be proven
   * @returns what the client said when it was logged in to with the new one.
   * @throws RotationRefused, RotationFailed
   */
  change(adapter: Adapter, signal: AbortSignal, announce: () => void): Promise<Probe>;
}

/**
 * In this order, so that a crash at any moment leaves a secret that works where it is
 * looked for: the new secret is kept in the state directory (0600); the client gets it;
 * Pulse is told; it is proven by a login; the operator's file gets it; the copy goes. Whoever finds a
 * copy at a start tries it: if the client takes it the rest is made up for, and else the
 * client never got it.
 */
export async function createClientSecret(
  client: FrontedClient,
  { stateDirectory, clock, random, log }: ClientSecretOptions,
): Promise<ClientSecret> {
  const pendingFile = join(stateDirectory, PENDING_FILE);
  const { secretFile, ...told } = client;
  const given: ClientTarget = { ...told, ...(await newestSecret(secretFile)) };
  let target: ClientTarget = given;
  /** What was so before a change that is not over. */
  let proven: ClientTarget = given;
  let pending = (await readIfPresent(pendingFile))?.trim();

  const withSecret = (secret: string): ClientTarget => ({ ...given, secret });
  const logIn = (secret: string, signal: AbortSignal) =>
    createAdapter(withSecret(secret), { clock }).probe(signal);

  async function dropPending(): Promise<void> {
    await rm(pendingFile, { force: true });
    pending = undefined;
  }

  /** Of one that lets in whoever calls from here it is not known which secret it has. */
  async function insist(probe: Probe, secret: string, signal: AbortSignal): Promise<void> {
    if (probe.outcome === "ok" && probe.credentials === "not-asked")
      await createAdapter(target, { clock }).changeSecret?.(secret, signal);
  }

  /** The client has it: the operator's file gets it, too. */
  async function keep(secret: string, file: string): Promise<void> {
    await replaceLine(file, secret);
    target = withSecret(secret);
    proven = target;
    await dropPending();
  }

  async function goBack(): Promise<void> {
    target = proven;
    await dropPending();
  }

  return {
    get target() {
      return target;
    },

    async settle(signal) {
      if (pending === undefined) return undefined;
      const probe = await logIn(pending, signal);
      if (probe.outcome === "authentication-failed") {
        await goBack();
        return undefined;
      }
      if (probe.outcome !== "ok") return probe;
      const secret = pending;
      try {
        await insist(probe, secret, signal);
        if (secretFile) await keep(secret, secretFile);
        log.info({ secretFile }, "haul.rotation-finished");
      } catch (error) {
        if (error instanceof ProbeError) return { outcome: error.outcome, message: error.message };
        const { code } = error as NodeJS.ErrnoException;
        log.error({ secretFile, code, detail: NOT_WRITTEN }, "haul.secret-not-written");
      }
      target = withSecret(secret);
      proven = target;
      pending = undefined; // a copy that could not be written into the file stays for the next start
      return probe;
    },

    async change(adapter, signal, announce) {
      if (!adapter.changeSecret) throw new RotationRefused(notChangeable(client.kind));
      const file = await writableFile(secretFile);
      if (pending !== undefined) throw new RotationRefused(UNFINISHED);
      const before = proven.secret ?? "";
      const next = randomSecret(random);
      await writePrivateFile(pendingFile, `${next}\n`);
      pending = next;
      try {
        await adapter.changeSecret(next, signal);
      } catch (error) {
        if (error instanceof ProbeError) throw new RotationFailed(`${error.message}: ${UNKNOWN}`);
        throw error;
      }
      // Before that is proven: whoever comes with the old one meanwhile is let in no more.
      target = withSecret(next);
      announce();
      const probe = await logIn(next, signal);
      if (probe.outcome === "authentication-failed") {
        await goBack();
        announce();
        throw new RotationFailed(`the download client keeps its old secret: ${probe.message}`);
      }
      if (probe.outcome !== "ok") throw new RotationFailed(`${probe.message}: ${UNKNOWN}`);
      try {
        await keep(next, file);
      } catch (error) {
        await adapter.changeSecret(before, signal).catch(() => {
          throw new RotationFailed(
            `${file} cannot be written, and the client does not answer: ${UNKNOWN}`,
          );
        });
        await goBack();
        announce();
        const { code } = error as NodeJS.ErrnoException;
        throw new RotationFailed(
          `${file} cannot be written (${code}): the download client has its old secret again`,
        );
      }
      return probe;
    },
  };
}

/**
 * What the operator's file says now. A rotation may have written it since it was read: what
 * was read before that would be refused.
 * @returns nothing if there is no such file, or what it says is no secret: then what was read holds
 */
async function newestSecret(file: string | undefined): Promise<Pick<ClientTarget, "secret">> {
  if (file === undefined) return {};
  const isKept = await stat(file).then(
    (entry) => entry.isFile(),
    () => false,
  );
  const read = isKept ? await readSecretFile(file) : undefined; // a pipe is read once
  return read?.ok ? { secret: read.secret } : {};
}

const notChangeable = (kind: string) =>
  `Haul cannot change the secret of this ${kind}: change it in its own settings, and then in the file that Haul reads it from`;
const UNFINISHED =
  "a rotation before this one is not finished: Haul finishes it when the download client answers";
const UNKNOWN =
  "it may have its new secret or its old one, and Haul finds out as soon as it answers";
const NOT_WRITTEN =
  "the download client has a new secret, which is kept in the state directory; let this user write to the secret's file, and restart Haul";
const NO_FILE =
  "the secret was not given in a file, and Haul cannot change where it came from: give it with --password-file or --api-key-file";

/**
 * The operator's file, if it can surely be replaced: that is tried with what is in it.
 * @throws RotationRefused
 */
async function writableFile(file: string | undefined): Promise<string> {
  if (file === undefined) throw new RotationRefused(NO_FILE);
  try {
    const entry = await lstat(file);
    if (!entry.isFile())
      throw new RotationRefused(
        `${file} is no ordinary file, so Haul cannot replace it: give the secret in one`,
      );
    await access(file, constants.W_OK);
    await access(dirname(file), constants.W_OK);
    await replaceText(file, await readFile(file, "utf8"));
    return file;
  } catch (error) {
    if (error instanceof RotationRefused) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new RotationRefused(
      `${file} cannot be replaced (${code}), so the next start of Haul would have the old secret: let this user write to it and to its directory`,
    );
  }
}

/** The file's one line, ended as it was before. */
async function replaceLine(file: string, line: string): Promise<void> {
  const end = /\r?\n$/.exec(await readFile(file, "utf8"))?.[0] ?? "";
  await replaceText(file, line + end);
}

/** Whole or not at all, with the mode that it has, and its owner if that can be. */
async function replaceText(file: string, text: string): Promise<void> {
  const { mode, uid, gid } = await lstat(file);
  await writePrivateFile(file, text);
  await chown(file, uid, gid).catch(() => {});
  await chmod(file, mode & 0o777);
}
