import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Service } from "../../gen/pulse/v1/service_pb.js";
import { holdProcess, systemClock } from "../lib/clock.js";
import { systemRandom } from "../lib/random.js";
import { connectWithoutRetry } from "./connection.js";
import { ItemWatch } from "./item-watch.js";
import { checkToken } from "./options.js";
import { endpointsOf, plainTextExposure } from "./target.js";
import { WatchCache } from "./watch-cache.js";
import { logWatch } from "./watch-log.js";
import { followStream } from "./watch-stream.js";
import { DOWNLOAD_CLIENTS, SERVICES, type Topic } from "./watch-topics.js";
import type {
  DownloadClientFilter,
  ServiceFilter,
  StreamItem,
  StreamOptions,
  Watch,
  WatchOptions,
} from "./watching.js";

/**
 * Watches download clients: what there is shows in `current()`, what changes in
 * the iteration. Returns at once, and goes on in the background until it is closed.
 *
 * @throws TypeError at once, if an option cannot be used; it names the option.
 */
export function watchDownloadClients(
  options: WatchOptions<DownloadClientFilter>,
): Watch<DownloadClient> {
  return startWatch(DOWNLOAD_CLIENTS, options);
}

/** Watches services, as `watchDownloadClients` does. */
export function watchServices(options: WatchOptions<ServiceFilter>): Watch<Service> {
  return startWatch(SERVICES, options);
}

/**
 * The raw responses of a watch of download clients, across reconnects, for those
 * who keep no state of their own: each iteration is a stream of its own, opened
 * by its first `next`. It ends when the signal aborts.
 *
 * @throws TypeError at once, if an option cannot be used; the iteration throws
 *   InvalidRequestError if Pulse refuses the request as invalid.
 */
export function streamDownloadClientResponses(
  options: StreamOptions<DownloadClientFilter>,
): AsyncIterable<StreamItem<WatchDownloadClientsResponse>> {
  return streamResponses(DOWNLOAD_CLIENTS, options);
}

/** The raw responses of a watch of services, as `streamDownloadClientResponses` gives them. */
export function streamServiceResponses(
  options: StreamOptions<ServiceFilter>,
): AsyncIterable<StreamItem<WatchServicesResponse>> {
  return streamResponses(SERVICES, options);
}

function startWatch<Item, Filter, Response>(
  topic: Topic<Item, Filter, Response>,
  options: WatchOptions<Filter>,
): Watch<Item> {
  const { log, cache, signal } = options;
  const common = commonOf(topic, options);
  const { query, clock, random, endpoints } = common;
  const exposure = plainTextExposure(options.pulse);
  if (exposure) log?.warn({ event: "plain-text", pulse: options.pulse }, exposure);
  if (cache && (typeof cache.file !== "string" || cache.file === ""))
    throw new TypeError("cache.file is missing: give a path that is kept");
  return new ItemWatch({
    ...common,
    topic,
    signal,
    cache:
      cache &&
      new WatchCache({
        file: cache.file,
        token: checkToken(options.token),
        // In whatever order they are given, they are the same Pulse.
        place: JSON.stringify([endpoints.addresses.toSorted().join(","), query.text]),
        clock,
        random,
        log,
      }),
    onNews: log
      ? logWatch(log, endpoints.addresses.join(","), topic.name, () => endpoints.current?.place)
      : () => {},
  });
}

function streamResponses<Item, Filter, Response>(
  topic: Topic<Item, Filter, Response>,
  options: StreamOptions<Filter>,
): AsyncIterable<StreamItem<Response>> {
  const common = commonOf(topic, options);
  return {
    [Symbol.asyncIterator]() {
      const { signal } = options;
      const leaving = new AbortController();
      const leave = () => {
        signal?.removeEventListener("abort", leave);
        leaving.abort();
      };
      if (signal?.aborted) leave();
      signal?.addEventListener("abort", leave, { once: true });
      const items = followStream({
        ...common,
        read: (response) => topic.read(response),
        resumeToken: "",
        signal: leaving.signal,
      });
      return {
        async next() {
          const hold = holdProcess(common.clock);
          try {
            const result = await items.next();
            if (result.done) leave();
            return result;
          } catch (error) {
            leave();
            throw error;
          } finally {
            hold.release();
          }
        },
        async return() {
          leave(); // a `next` that waits would hold it up
          await items.return();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function commonOf<Item, Filter, Response>(
  topic: Topic<Item, Filter, Response>,
  options: StreamOptions<Filter>,
) {
  const { token, filter, signal, clock = systemClock, random = systemRandom } = options;
  const endpoints = endpointsOf(options, { clock, random });
  checkToken(token);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError("signal must be an AbortSignal");
  const query = topic.ask(filter);
  return { dial: () => connectWithoutRetry(endpoints, token), endpoints, query, clock, random };
}
