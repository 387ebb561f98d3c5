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
export const DEFAULT_BOOKMARK_INTERVAL_MS = 15_000;
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
    patienceMs: patienceFor(DEFAULT_BOOKMARK_INTERVAL_MS),
    pace: FRESH_PACE,
    attempt: 1,
  };
  try {
    while (!signal.aborted) {
      const end = yield* readStream(options, link, place);
      if (!end) return;
      const { untilReady, ...item } = judge(end, place, options);
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
  /** How long Pulse may be silent once it has said something. */
  patienceMs: number;
  pace: Pace;
  /** Number of the attempt under way, from 1 since the last response. */
  attempt: number;
}

/** How a stream ended. */
interface End {
  readonly failure: Failure;
  /** Whether in the middle of a snapshot. */
  readonly isHalfWay: boolean;
}

/** One stream until its end. Undefined: it was aborted. */
async function* readStream<Response>(
  { query, read, signal, clock, endpoints }: FollowOptions<Response>,
  link: WatchLink,
  place: Place,
): AsyncGenerator<StreamItem<Response>, End | undefined> {
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
      if (response === undefined)
        return { failure: unavailable("Pulse ended the stream"), isHalfWay: !isWhole };
      const told = read(response);
      if (told.event.type === "snapshot") isWhole = !told.event.more;
      // A token is not worth its place before all parts have come.
      if (isWhole && told.resumeToken) place.resumeToken = told.resumeToken;
      if (told.bookmarkIntervalMs !== undefined)
        place.patienceMs = patienceFor(told.bookmarkIntervalMs);
      patienceMs = place.patienceMs;
      place.attempt = 1;
      if (isWhole) wellSinceAt ??= clock.now();
      if (wellSinceAt !== undefined && clock.now() - wellSinceAt >= WATCH_WELL_MS) {
        place.pace = FRESH_PACE;
        endpoints.settle();
      }
      yield { type: "response", response };
      if (signal.aborted) return undefined;
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    if (!(error instanceof SilenceError)) return { failure: failureOf(error), isHalfWay: !isWhole };
    link.drop();
    const failure = overdue(`Pulse sent nothing for ${inSeconds(patienceMs)}`);
    return { failure, isHalfWay: !isWhole };
  } finally {
    call.end();
  }
}

/** What a failure means for what comes next. @throws InvalidRequestError */
function judge(
  { failure, isHalfWay }: End,
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
  // That Pulse takes connections says nothing for one that cannot send a snapshot to its end.
  const untilReady = floorMs === 0 && !isHalfWay;
  return { type: "interrupted" as const, error, attempt, retryInMs: delayMs, untilReady };
}

function isAboutToken(error: Error): boolean {
  return (
    error instanceof InvalidRequestError && error.fields.every((field) => field === "resume_token")
  );
}

/** How long Pulse may be silent that says it sends something every `intervalMs`; a loss after that. */
export function patienceFor(intervalMs: number): number {
  const boundedMs = Math.min(
    Math.max(intervalMs, MIN_BOOKMARK_INTERVAL_MS),
    MAX_BOOKMARK_INTERVAL_MS,
  );
  return 2 * boundedMs + WAY_MS;
}
