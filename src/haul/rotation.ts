import type { ProbeableKind } from "../adapters/adapter.js";
import type { Registration } from "../client/index.js";
import { type Clock, sleep } from "../lib/clock.js";
import type { Log } from "../lib/log.js";

/** A secret cannot be changed, and nothing was; the message says why and what to do. */
export class RotationRefused extends Error {
  override readonly name = "RotationRefused";
}

/** A secret was to be changed, and something else is wrong now; the message says what. */
export class RotationFailed extends Error {
  override readonly name = "RotationFailed";
}

/** What became of a rotation. */
export interface Rotated {
  /** What has changed: Haul's own key, or the secret of the download client that it fronts. */
  readonly what: "api-key" | Exclude<ProbeableKind, "haul">;
  /** `told`: Pulse has acknowledged it. `waiting`: it will be told as soon as it can be reached. */
  readonly pulse: "told" | "waiting";
}

export interface RotateRequest {
  /** How long the secret before is accepted too, where that is possible. */
  readonly overlapMs: number;
  /** Name of the download client whose secret it is; may be left out where there is one. */
  readonly client?: string;
}

/**
 * Changes the secret that is registered, and tells Pulse. One at a time.
 * @throws RotationRefused, RotationFailed; the signal's reason
 */
export type Rotate = (request: RotateRequest, signal: AbortSignal) => Promise<Rotated>;

/** Pulse answers well within that if it is there. */
const ACKNOWLEDGED_WITHIN_MS = 5_000;

/** Whether Pulse has acknowledged that key within 5 s. */
export async function isTold(
  registration: Registration,
  apiKey: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Rotated["pulse"]> {
  const ending = new AbortController();
  const has = () => registration.acknowledged?.apiKey === apiKey;
  const unsubscribe = registration.subscribe(() => {
    if (has()) ending.abort();
  });
  try {
    if (!has())
      await sleep(clock, ACKNOWLEDGED_WITHIN_MS, AbortSignal.any([signal, ending.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (!ending.signal.aborted) throw error;
  } finally {
    unsubscribe();
  }
  return has() ? "told" : "waiting";
}

const WAITING =
  "Pulse does not answer, and is told of the new secret when it does; an API key from before stays valid until then";

/** The next begins when the one before has ended; each is a line in the log. */
export function oneAtATime(rotate: Rotate, log: Log): Rotate {
  async function logged(request: RotateRequest, signal: AbortSignal): Promise<Rotated> {
    try {
      const rotated = await rotate(request, signal);
      if (rotated.pulse === "told") log.info(rotated, "haul.rotated");
      else log.warn({ ...rotated, detail: WAITING }, "haul.rotated");
      return rotated;
    } catch (error) {
      const isTellable = error instanceof RotationRefused || error instanceof RotationFailed;
      log.warn({ detail: isTellable ? error.message : "" }, "haul.not-rotated");
      throw error;
    }
  }

  let before: Promise<unknown> = Promise.resolve();
  return (request, signal) => {
    const rotated = before.then(() => logged(request, signal));
    before = rotated.catch(() => {});
    return rotated;
  };
}
