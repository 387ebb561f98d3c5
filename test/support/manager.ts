import { onTestFinished } from "vitest";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { type DownloadClient, watchDownloadClients } from "../../src/client/index.js";
import { eventually } from "./eventually.js";
import type { Stack } from "./stack.js";

/** A media manager, which ends with its test: all that it knows it was told by its watch. */
export interface Manager {
  /** Waits until it has been told that the entry is as available as wanted. */
  entryIs(
    name: string,
    availability: keyof typeof Availability,
    withinMs?: number,
  ): Promise<DownloadClient>;
}

/** What a manager is told of Pulse. */
export interface PulseAccess extends Pick<Stack, "url" | "token"> {
  /** That it may be spoken to in plain text though it is elsewhere. */
  readonly insecure?: boolean;
}

/** Needs nothing but Pulse's address and token, and need not find it running. */
export function startManager(pulse: PulseAccess): Manager {
  const { url, insecure = false } = pulse;
  const watch = watchDownloadClients({ pulse: url, token: () => pulse.token(), insecure });
  onTestFinished(() => watch.close());
  return {
    entryIs: (name, availability, withinMs) =>
      eventually(() => {
        const entry = watch.current().items.find((item) => item.name === name);
        if (!entry) throw new Error(`the watch has told of no ${name}`);
        if (entry.availability !== Availability[availability]) {
          const { availabilityReason: reason } = entry;
          throw new Error(`${name} is ${Availability[entry.availability]} (${reason})`);
        }
        return entry;
      }, withinMs),
  };
}
