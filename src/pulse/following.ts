import { DomainError } from "../core/errors.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { SharedStore } from "../store/store.js";
import type { Registry } from "./registry.js";

/** What a hint did not tell is found out by now, in ms. */
const POLL_INTERVAL_MS = 1_000;

/** Keeps the registry in step with what other nodes commit. */
export function startFollowing(options: {
  readonly registry: Registry;
  readonly shared: SharedStore;
  readonly clock: Clock;
  readonly log: Log;
}): { stop(): Promise<void> } {
  const { registry, shared, clock, log } = options;

  function follow(): void {
    registry.refresh().catch((error: unknown) => {
      // A refusal says that the store is away: whoever watches it says so too.
      if (!(error instanceof DomainError)) log.error({ err: error }, "registry.not_followed");
    });
  }

  const listening = shared.listen(follow);
  const poll = repeat(clock, POLL_INTERVAL_MS, follow);
  return {
    async stop() {
      poll.cancel();
      await listening.stop();
    },
  };
}
