import { rm } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import type { Clock, Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { readIfPresent, writePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { holdsKey, readOrCreateKey } from "./api-key.js";
import { RotationRefused } from "./rotation.js";
import { StartError } from "./start-error.js";

const KEY_FILE = "api.key";
/** JSON: the keys from before that are still accepted. */
const OLD_KEYS_FILE = "api.key.old";
/** Each is a secret more that opens this Haul. */
const MAX_OLD_KEYS = 8;

/** A key that was replaced. */
interface OldKey {
  readonly key: string;
  /** How long it is accepted once Pulse has its successor, in ms. */
  readonly overlapMs: number;
  /** When it ends, in wall-clock ms; absent: Pulse has not acknowledged a newer one yet. */
  readonly endsAt?: number;
}

/** An old key of this process. The wall clock, which may jump, counts at a start only. */
interface RunningKey extends OldKey {
  /** When it ends, as `clock.now()` tells it; infinite: not yet known. */
  readonly dueAt: number;
}

export interface KeyRingOptions {
  readonly random: Random;
  readonly clock: Clock;
  readonly log: Log;
}

/** The keys of Haul's own API: one that is handed out, and those before it for a while. */
export interface KeyRing {
  /** The newest, which is what Pulse is to have. */
  readonly current: string;
  accepts(headers: IncomingHttpHeaders): boolean;
  /**
   * Makes a new key. The one before is accepted until `overlapMs` after Pulse has
   * acknowledged a newer one, however long that takes.
   * @throws RotationRefused if too many are accepted already.
   */
  rotate(overlapMs: number): Promise<void>;
  /** Pulse has this key: the time of those before begins to run. */
  acknowledge(key: string): void;
  /** Leaves no timer; resolves when what was to be written is. */
  close(): Promise<void>;
}

/**
 * The keys that the state directory holds, one being made on first use.
 *
 * The files say what is valid at any moment, so a crash between two steps loses
 * nothing: the old key is written into `api.key.old` before `api.key` gets the new
 * one, and taken out of there when it has ended.
 *
 * @throws StartError if a file is damaged.
 */
export async function openKeyRing(
  directory: string,
  { random, clock, log }: KeyRingOptions,
): Promise<KeyRing> {
  const path = join(directory, OLD_KEYS_FILE);
  let current = await readOrCreateKey(directory, KEY_FILE, random);
  // The newest may be among them, if a rotation was cut off before it had begun.
  let old = (await readOldKeys(path))
    .filter(({ key }) => key !== current)
    .map((each) => running(each, clock));
  let writing: Promise<void> = Promise.resolve();
  let timer: Timer | undefined;

  /** One after the other: what is written last is the newest. */
  function write(work: () => Promise<void>): Promise<void> {
    const done = writing.then(work);
    writing = done.catch((error) => {
      log.error(
        { path, error: error instanceof Error ? error.message : "" },
        "haul.keys-not-written",
      );
    });
    return done;
  }

  const writeOld = (keys: readonly RunningKey[] = old) =>
    keys.length > 0
      ? writePrivateFile(path, `${JSON.stringify(keys.map(stored), undefined, 2)}\n`)
      : rm(path, { force: true });

  function endThoseDue(): void {
    timer?.cancel();
    const now = clock.now();
    const left = old.filter(({ dueAt }) => dueAt > now);
    if (left.length < old.length) {
      old = left;
      log.info({ accepted: old.length }, "haul.old-key-ended");
      write(() => writeOld()).catch(() => {}); // it is logged, and looked at again at the next start
    }
    const nextAt = Math.min(...old.map(({ dueAt }) => dueAt));
    if (nextAt < Number.POSITIVE_INFINITY) timer = clock.setTimer(nextAt - now, endThoseDue);
  }

  endThoseDue();
  return {
    get current() {
      return current;
    },
    accepts: (headers) => holdsKey(headers, [current, ...old.map(({ key }) => key)]),
    rotate: (overlapMs) =>
      write(async () => {
        if (old.length >= MAX_OLD_KEYS)
          throw new RotationRefused(
            `${MAX_OLD_KEYS} keys from before are still accepted: wait until they end, or until Pulse is there to be told`,
          );
        const added = running({ key: current, overlapMs }, clock);
        const next = randomSecret(random);
        await writeOld([...old, added]);
        await writePrivateFile(join(directory, KEY_FILE), `${next}\n`);
        // Both at once: until here the key is the newest, and to acknowledge it lets none end.
        old = [...old, added];
        current = next;
      }),
    acknowledge(key) {
      if (key !== current || old.every(({ endsAt }) => endsAt !== undefined)) return;
      const now = clock.wallNow();
      old = old.map((each) => {
        const { endsAt = now + each.overlapMs } = each;
        return each.endsAt === undefined ? running({ ...each, endsAt }, clock) : each;
      });
      write(() => writeOld()).catch(() => {}); // it is logged; a later start lets them end by itself
      endThoseDue();
    },
    close() {
      timer?.cancel();
      return writing;
    },
  };
}

/** It never has more than its overlap, even if the wall clock was set back meanwhile. */
function running(old: OldKey, clock: Clock): RunningKey {
  const { endsAt, overlapMs } = old;
  if (endsAt === undefined) return { ...old, dueAt: Number.POSITIVE_INFINITY };
  return { ...old, dueAt: clock.now() + Math.min(endsAt - clock.wallNow(), overlapMs) };
}

function stored({ dueAt: _, ...old }: RunningKey): OldKey {
  return old;
}

/**
 * Makes a new key while no Haul runs with this directory; its next start registers it.
 * @throws RotationRefused, StartError
 */
export async function rotateKeyFiles(
  directory: string,
  overlapMs: number,
  options: KeyRingOptions,
): Promise<void> {
  const ring = await openKeyRing(directory, options);
  try {
    await ring.rotate(overlapMs);
  } finally {
    await ring.close();
  }
}

async function readOldKeys(path: string): Promise<OldKey[]> {
  const text = await readIfPresent(path);
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the file, and with it a key.
  }
  if (Array.isArray(value) && value.every(isOldKey)) return value;
  throw new StartError(
    `${path} is damaged: it should hold the keys from before as JSON; delete it, and they are not accepted any more`,
  );
}

function isOldKey(value: unknown): value is OldKey {
  if (typeof value !== "object" || value === null) return false;
  const { key, overlapMs, endsAt }: Partial<Record<string, unknown>> = { ...value };
  return (
    typeof key === "string" &&
    typeof overlapMs === "number" &&
    (endsAt === undefined || typeof endsAt === "number")
  );
}
