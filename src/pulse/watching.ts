import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import type { ResolvedEntry } from "../core/entry.js";
import { DomainError } from "../core/errors.js";
import type { EntryTraits, ServiceTraits } from "../core/filter.js";
import type { ServiceRecord } from "../core/service.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { EntrySigns } from "./entry-signs.js";
import type { History } from "./history.js";
import type { Leases } from "./leases.js";
import type { Registry } from "./registry.js";
import { drainingError, durationOf } from "./status.js";
import { TICKS_PER_INTERVAL, WatchHub, type WatchPolicy } from "./watch-hub.js";
import { downloadClientTopic, serviceTopic } from "./watch-topics.js";

export interface WatchingOptions {
  readonly registry: Registry;
  /** Must hear of each commit before this does, since messages say what the leases know. */
  readonly leases: Leases;
  /** As the leases. */
  readonly signs: EntrySigns;
  /** As the leases. */
  readonly history: History;
  readonly clock: Clock;
  readonly policy: WatchPolicy;
  readonly log: Log;
}

/** The watches of both services, fed by the registry's commits. */
export interface Watching {
  readonly services: WatchHub<ServiceRecord, ServiceTraits, WatchServicesResponse>;
  readonly downloadClients: WatchHub<ResolvedEntry, EntryTraits, WatchDownloadClientsResponse>;
  /** Ends those watches with an error that were opened with some bearer tokens. */
  end(error: unknown, isOf: (tokenId: string) => boolean): void;
  /** Ends all watches, telling when to come back, and the timer. */
  drain(retryAfterMs: number): void;
}

export function startWatching(options: WatchingOptions): Watching {
  const { registry, leases, signs, history, clock, policy, log } = options;
  const about = {
    catalog: registry.catalog,
    leases,
    signs,
    bookmarkInterval: durationOf(policy.bookmarkIntervalMs),
  };
  const shared = { history, policy, now: () => clock.now(), isStale: () => registry.isStale, log };
  const services = new WatchHub({ topic: serviceTopic(about), ...shared });
  const downloadClients = new WatchHub({ topic: downloadClientTopic(about), ...shared });

  registry.onCommit((commit, changes) => {
    services.publish(commit, changes);
    downloadClients.publish(commit, changes);
  });

  registry.onReload(() => {
    const error = new DomainError("this Pulse has lost track of the changes; resume the watch", {
      kind: "lagging",
    });
    services.end(error);
    downloadClients.end(error);
  });

  const ticks = repeat(clock, policy.bookmarkIntervalMs / TICKS_PER_INTERVAL, () => {
    services.tick();
    downloadClients.tick();
  });

  return {
    services,
    downloadClients,
    end(error, isOf) {
      services.end(error, isOf);
      downloadClients.end(error, isOf);
    },
    drain(retryAfterMs) {
      ticks.cancel();
      const error = drainingError(retryAfterMs);
      services.end(error);
      downloadClients.end(error);
    },
  };
}
