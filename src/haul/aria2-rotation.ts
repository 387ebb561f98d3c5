import type { Probe } from "../adapters/adapter.js";
import { createAdapter } from "../adapters/probe.js";
import { type Clock, sleep } from "../lib/clock.js";
import type { OwnAria2 } from "./own-aria2.js";
import { RotationFailed } from "./rotation.js";

/** It answers about 100 ms after its start; log-ins fail for as long as it does not. */
const ASK_EVERY_MS = 20;
const ANSWERS_WITHIN_MS = 10_000;

/**
 * Gives an aria2 of Haul's own another secret, and waits until it takes it.
 *
 * Everybody is told as soon as the old one is gone, while the new one starts: aria2
 * lets who comes with a wrong secret wait for a second, so who came with the old one
 * to the new aria2 would be away for that long.
 * @throws RotationFailed if it does not answer again within 10 s.
 */
export async function changeAria2Secret(
  aria2: OwnAria2,
  clock: Clock,
  signal: AbortSignal,
  announce: () => void,
): Promise<Probe> {
  await aria2.changeSecret(announce);
  const endsAt = clock.now() + ANSWERS_WITHIN_MS;
  for (;;) {
    const probe = await createAdapter(aria2.target, { clock }).probe(signal);
    if (probe.outcome === "ok") return probe;
    if (clock.now() > endsAt)
      throw new RotationFailed(
        `aria2 does not answer after its restart with a new secret: ${probe.message}`,
      );
    await sleep(clock, ASK_EVERY_MS, signal);
  }
}
