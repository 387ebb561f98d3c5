import { hkdfSync } from "node:crypto";
import { dirname } from "node:path";
import { type Clock, sleep, type Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { makePrivateDirectory, readIfPresent, writePrivateFile } from "../lib/private-file.js";
import type { Random } from "../lib/random.js";
import { KEY_BYTES, Secrets, UnsealError } from "../lib/sealing.js";
import { currentToken, type TokenSource } from "./authorization.js";
import { ATTEMPT_TIMEOUT_MS, LEAVE_TIMEOUT_MS } from "./pace.js";

/** The file is written at most so often. */
const WRITE_INTERVAL_MS = 1_000;

export interface WatchCacheOptions {
  readonly file: string;
  /** The key is derived from it: whoever may not ask Pulse can read nothing here. */
  readonly token: TokenSource;
  /** Which watch it is of: it opens for no other. */
  readonly place: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log | undefined;
}

/**
 * The last known good of a watch, in a file of mode 0600, sealed. Whatever is
 * wrong with it costs a line in the log and no more: it is never needed.
 */
export class WatchCache {
  readonly #options: WatchCacheOptions;
  /** Gives what is to be written; undefined: everything is. */
  #unwritten: (() => Uint8Array | undefined) | undefined;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #nextAt = Number.NEGATIVE_INFINITY;
  #isComplained = false;

  constructor(options: WatchCacheOptions) {
    this.#options = options;
  }

  /**
   * What `decode` makes of the file's content; undefined if there is none that is
   * of use, or if the signal aborts first.
   */
  read<Content>(
    decode: (bytes: Uint8Array) => Content,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    return this.#within(ATTEMPT_TIMEOUT_MS, this.#read(decode), signal);
  }

  async #read<Content>(decode: (bytes: Uint8Array) => Content): Promise<Content | undefined> {
    const { file, place, log } = this.#options;
    try {
      const sealed = await readIfPresent(file);
      if (sealed === undefined) {
        log?.info({ file }, "there is no last known good yet");
        return undefined;
      }
      const content = decode((await this.#secrets()).openBytes(sealed, place));
      log?.info({ file }, "beginning with the last known good");
      return content;
    } catch (error) {
      const what =
        error instanceof UnsealError
          ? "is damaged, or of another token, Pulse or filter"
          : "cannot be read";
      log?.warn({ file, error: messageOf(error) }, `the last known good ${what}: going on without`);
      return undefined;
    }
  }

  /**
   * Has `content` written soon, in the place of what was to be written before. It is
   * called when that is; if it gives nothing then, the file stays as it is.
   */
  write(content: () => Uint8Array | undefined): void {
    this.#unwritten = content;
    if (this.#timer || this.#writing) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(this.#nextAt - clock.now(), () => {
      this.#timer = undefined;
      void this.#writeNow();
    });
  }

  /** Writes what is unwritten, within 2 s. Never rejects. */
  async close(): Promise<void> {
    await this.#within(LEAVE_TIMEOUT_MS, this.#finish());
    this.#unwritten = undefined;
  }

  async #finish(): Promise<void> {
    await this.#writing;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#writeNow();
  }

  async #writeNow(): Promise<void> {
    const content = this.#unwritten;
    if (!content) return;
    this.#unwritten = undefined;
    this.#writing = this.#seal(content);
    await this.#writing;
    this.#writing = undefined;
    this.#nextAt = this.#options.clock.now() + WRITE_INTERVAL_MS;
    if (this.#unwritten) this.write(this.#unwritten);
  }

  async #seal(content: () => Uint8Array | undefined): Promise<void> {
    const { file, place, log } = this.#options;
    try {
      const secrets = await this.#secrets();
      const bytes = content();
      if (!bytes) return;
      const sealed = secrets.seal(bytes, place);
      await makePrivateDirectory(dirname(file));
      await writePrivateFile(file, sealed);
      this.#isComplained = false;
    } catch (error) {
      if (!this.#isComplained)
        log?.warn({ file, error: messageOf(error) }, "the last known good cannot be written");
      this.#isComplained = true;
    }
  }

  /** The result, or undefined if it takes too long: a token function may never answer. */
  async #within<Result>(
    limitMs: number,
    work: Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result | undefined> {
    const over = new AbortController();
    const onAbort = () => over.abort();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const late = sleep(this.#options.clock, limitMs, over.signal).catch(() => {});
    try {
      return (await Promise.race([work, late])) ?? undefined;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      over.abort();
    }
  }

  /** Asked for each time: a token function may give another one. */
  async #secrets(): Promise<Secrets> {
    const { token, random } = this.#options;
    const key = hkdfSync("sha256", await currentToken(token), "", "pulse watch cache", KEY_BYTES);
    return new Secrets([Buffer.from(key)], random);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
