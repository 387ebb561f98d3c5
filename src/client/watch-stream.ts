import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import { inSeconds } from "../lib/seconds.js";
import type { Endpoints } from "../wire/endpoints.js";
import type { WatchConnection } from "./clients.js";
import { type Failure, failureOf, InvalidRequestError, overdue, unavailable } from "./failure.js";
import {
  ATTEMPT_TIMEOUT_MS,
  afterFailure,
  FRESH_PACE,
  type Pace,
  REJECTED_JITTER_MS,
  REJECTED_RETRY_MS,
  WATCH_WELL_MS,
} from "./pace.js";
import { SilenceError, WatchCall } from "./watch-call.js";
import { WatchLink } from "./watch-link.js";
import type { Query, Told } from "./watch-topics.js";
import type { StreamItem } from "./watching.js";

/** Until Pulse says how often something is sent. */
const DEFAULT_BOOKMARK_INTERVAL_MS = 15_000;
/** What Pulse may say, within reason. */
const MIN_BOOKMARK_INTERVAL_MS = 1_000;
const MAX_BOOKMARK_INTERVAL_MS = 600_000;
/** For the way, on top of two intervals. */
const WAY_MS = 1_000;

export interface FollowOptions<Response> {
  /** Makes a connection, without retry. */
  readonly dial: () => WatchConnection;
  /** Where these connections go. */
  readonly endpoints: Pick<Endpoints, "others" | "leave" | "settle">;
  readonly query: Query<Response>;
  readonly read: (response: Response) => Told<unknown>;
  /** Where to begin; empty: with a snapshot. */
  readonly resumeToken: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * A watch's responses, across losses: opens the stream again from the newest
 * resume token, with the session's backoff, until the signal aborts. Silence is
 * a loss, and so is a stream that ends. It reads on only as it is read.
 *
 * @throws InvalidRequestError if Pulse refuses the request as invalid
 */
export async function* followStream<Response>(
  options: FollowOptions<Response>,
): AsyncGenerator<StreamItem<Response>, void> {
  const { signal, clock, random, endpoints } = options;
  const link = new WatchLink(options.dial, clock, random);
  const place: Place = {
    resumeToken: options.resumeToken,
    intervalMs: DEFAULT_BOOKMARK_INTERVAL_MS,
    pace: FRESH_PACE,
    attempt: 1,
  };
  try {
    while (!signal.aborted) {
      const failure = yield* readStream(options, link, place);
      if (!failure) return;
      const { untilReady, ...item } = judge(failure, place, options);
      endpoints.leave();
      yield item;
      await link.pause(item.retryInMs, untilReady, signal);
    }
  } finally {
    link.drop();
  }
}

/** Where a watch has come to. */
interface Place {
  resumeToken: string;
  intervalMs: number;
  pace: Pace;
  /** Number of the attempt under way, from 1 since the last response. */
  attempt: number;
}

/** One stream until its end. Undefined: it was aborted. */
async function* readStream<Response>(
  { query, read, signal, clock, endpoints }: FollowOptions<Response>,
  link: WatchLink,
  place: Place,
): AsyncGenerator<StreamItem<Response>, Failure | undefined> {
  const { resumeToken } = place;
  const call = new WatchCall(
    (callSignal) => query.open(link.connection, resumeToken, { signal: callSignal }),
    clock,
    signal,
  );
  let wellSinceAt: number | undefined;
  let patienceMs = ATTEMPT_TIMEOUT_MS;
  let isWhole = true;
  try {
    for (;;) {
      const response = await call.next(patienceMs);
      if (signal.aborted) return undefined;
      if (response === undefined) return unavailable("Pulse ended the stream");
      const told = read(response);
      if (told.event.type === "snapshot") isWhole = !told.event.more;
      // A token is not worth its place before all parts have come.
      if (isWhole && told.resumeToken) place.resumeToken = told.resumeToken;
      if (told.bookmarkIntervalMs !== undefined)
        place.intervalMs = boundedInterval(told.bookmarkIntervalMs);
      patienceMs = 2 * place.intervalMs + WAY_MS;
      place.attempt = 1;
      wellSinceAt ??= clock.now();
      if (clock.now() - wellSinceAt >= WATCH_WELL_MS) {
        place.pace = FRESH_PACE;
        endpoints.settle();
      }
      yield { type: "response", response };
      if (signal.aborted) return undefined;
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    if (!(error instanceof SilenceError)) return failureOf(error);
    link.drop();
    return overdue(`Pulse sent nothing for ${inSeconds(patienceMs)}`);
  } finally {
    call.end();
  }
}

/** What a failure means for what comes next. @throws InvalidRequestError */
function judge(
  failure: Failure,
  place: Place,
  { random, endpoints }: Pick<FollowOptions<never>, "random" | "endpoints">,
) {
  const { error } = failure;
  if (failure.kind === "refused") {
    const retryInMs = REJECTED_RETRY_MS + random.next() * REJECTED_JITTER_MS;
    return { type: "rejected" as const, error, retryInMs, untilReady: false };
  }
  if (failure.kind === "invalid") {
    // A token that this Pulse cannot read is dropped: a snapshot tells all that it stood for.
    if (!place.resumeToken || !isAboutToken(error)) throw error;
    place.resumeToken = "";
  }
  const { floorMs, floorOf } =
    failure.kind === "transient" ? failure : { floorMs: 0, floorOf: "pulse" as const };
  const { delayMs, pace } = afterFailure(
    place.pace,
    "stream",
    { floorMs, floorOf },
    { random: () => random.next(), others: endpoints.others },
  );
  place.pace = pace;
  const attempt = place.attempt++;
  const untilReady = floorMs === 0;
  return { type: "interrupted" as const, error, attempt, retryInMs: delayMs, untilReady };
}

function isAboutToken(error: Error): boolean {
  return (
    error instanceof InvalidRequestError && error.fields.every((field) => field === "resume_token")
  );
}

function boundedInterval(ms: number): number {
  return Math.min(Math.max(ms, MIN_BOOKMARK_INTERVAL_MS), MAX_BOOKMARK_INTERVAL_MS);
}
