import { DomainError } from "../core/errors.js";
import { type Clock, repeat, type Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { SharedStore } from "../store/store.js";
import type { Registry } from "./registry.js";

/** What a hint did not tell is found out by now, in ms. */
const POLL_INTERVAL_MS = 1_000;
/**
 * How long after a hint was followed the next one waits at the most, in ms: while others
 * write all the time, they are asked for many commits at once. The first is followed at once.
 */
const HINT_INTERVAL_MS = 10;

/** Keeps the registry in step with what other nodes commit. */
export function startFollowing(options: {
  readonly registry: Registry;
  readonly shared: SharedStore;
  readonly clock: Clock;
  readonly log: Log;
}): { stop(): Promise<void> } {
  const { registry, shared, clock, log } = options;
  let followedAt = Number.NEGATIVE_INFINITY;
  let waiting: Timer | undefined;

  function follow(): void {
    followedAt = clock.now();
    registry.refresh().catch((error: unknown) => {
      // A refusal says that the store is away: whoever watches it says so too.
      if (!(error instanceof DomainError)) log.error({ err: error }, "registry.not_followed");
    });
  }

  function followHint(): void {
    const pauseMs = followedAt + HINT_INTERVAL_MS - clock.now();
    if (pauseMs <= 0) follow();
    else
      waiting ??= clock.setTimer(pauseMs, () => {
        waiting = undefined;
        follow();
      });
  }

  const listening = shared.listen(followHint);
  const poll = repeat(clock, POLL_INTERVAL_MS, follow);
  return {
    async stop() {
      poll.cancel();
      waiting?.cancel();
      await listening.stop();
    },
  };
}
