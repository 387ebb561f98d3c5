import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor, type UnaryRequest } from "@connectrpc/connect";
import { type BackoffPolicy, createBackoff } from "../lib/backoff.js";
import { type Clock, sleep, systemClock } from "../lib/clock.js";
import { type Random, systemRandom } from "../lib/random.js";
import { type Endpoints, isFaultOfEndpoint } from "../wire/endpoints.js";
import { formatTimeout, parseTimeout } from "../wire/grpc-timeout.js";
import { isDraining, serverFloorMs } from "./failure.js";
import { MOVE_JITTER_MS } from "./pace.js";

/** How calls are tried again. */
export interface RetryPolicy {
  /** Waits between attempts; full jitter. */
  readonly backoff: BackoffPolicy;
  /** Attempts of one call; as many as its deadline allows if left out. */
  readonly maxAttempts: number;
  /** Deadline of each attempt: a server that accepts and stays silent is abandoned. */
  readonly attemptTimeoutMs: number;
  /** Deadline of the call with all its attempts, unless the call brings its own `timeoutMs`. */
  readonly totalTimeoutMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  backoff: { baseMs: 2_000, factor: 2, capMs: 32_000 },
  maxAttempts: Number.POSITIVE_INFINITY,
  attemptTimeoutMs: 10_000,
  totalTimeoutMs: 60_000,
};

const RETRYABLE: readonly Code[] = [
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
];

export interface RetryOptions {
  readonly policy?: Partial<RetryPolicy>;
  /** Where the calls go; left out, to one place. */
  readonly endpoints?: Pick<Endpoints, "others" | "count">;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * Tries unary calls again that are safe to repeat: those whose method is
 * IDEMPOTENT or NO_SIDE_EFFECTS. Every other unary call gets the attempt's
 * deadline and one attempt; streams pass untouched.
 *
 * The server's RetryInfo or `grpc-retry-pushback-ms` is a floor under the
 * wait. A call is not tried again when the wait would pass its deadline: the
 * caller gets the real error now instead of DEADLINE_EXCEEDED later.
 *
 * With several endpoints a call that one of them has failed is tried on the others
 * soon, each once, before the backoff begins; what a node that is stopping asks for
 * does not hold for them.
 *
 * A registration does not use this: its session repeats Register itself, with
 * an event for each attempt and no budget that could cut it short.
 */
export function createRetry(options: RetryOptions = {}): Interceptor {
  const policy = { ...DEFAULT_RETRY_POLICY, ...options.policy };
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const { endpoints } = options;
  const budget = createRetryBudget();

  return (next) => async (request) => {
    if (request.stream) return next(request);
    const askedMs = parseTimeout(request.header.get("grpc-timeout"));
    const deadlineAt = clock.now() + (askedMs ?? policy.totalTimeoutMs);
    let backoff = createBackoff(policy.backoff);
    let attempts = 0;
    let moves = 0;
    for (;;) {
      const timeoutMs = Math.min(policy.attemptTimeoutMs, deadlineAt - clock.now());
      try {
        const response = await attempt(request, attempts, timeoutMs, clock, next);
        budget.succeeded();
        return response;
      } catch (reason) {
        const error = ConnectError.from(reason);
        if (request.signal.aborted || !RETRYABLE.includes(error.code)) throw error;
        const mayRetry = budget.failed();
        attempts++;
        // The transport has left the endpoint by now.
        const canMove = isFaultOfEndpoint(error) && endpoints?.others === "untried";
        const isMove = canMove && moves + 1 < endpoints.count;
        const floorMs = isMove && isDraining(error) ? 0 : (serverFloorMs(error) ?? 0);
        const jitterMs = isMove ? random.next() * MOVE_JITTER_MS : backoff.delayMs(random.next());
        const waitMs = floorMs + jitterMs;
        const left = attempts < policy.maxAttempts && clock.now() + waitMs < deadlineAt;
        if (!isRepeatable(request) || !mayRetry || floorMs < 0 || !left) throw error;
        await wait(clock, waitMs, request.signal);
        if (isMove) moves++;
        else backoff = backoff.next();
      }
    }
  };
}

/** One attempt with its own deadline. Leaves neither a timer nor a listener behind. */
async function attempt<T>(
  request: UnaryRequest,
  earlierAttempts: number,
  timeoutMs: number,
  clock: Clock,
  next: (request: UnaryRequest) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(request.signal.reason);
  if (request.signal.aborted) onAbort();
  request.signal.addEventListener("abort", onAbort, { once: true });
  const timer = clock.setTimer(timeoutMs, () => {
    const text = `no answer to ${request.method.name} within ${Math.round(timeoutMs)} ms`;
    controller.abort(new ConnectError(text, Code.DeadlineExceeded));
  });
  const header = new Headers(request.header);
  header.set("grpc-timeout", formatTimeout(timeoutMs));
  if (earlierAttempts > 0) header.set("grpc-previous-rpc-attempts", String(earlierAttempts));
  try {
    return await next({ ...request, header, signal: controller.signal });
  } catch (reason) {
    throw controller.signal.aborted ? controller.signal.reason : reason;
  } finally {
    timer.cancel();
    request.signal.removeEventListener("abort", onAbort);
  }
}

function isRepeatable(request: UnaryRequest): boolean {
  const level = request.method.idempotency;
  return (
    level === MethodOptions_IdempotencyLevel.IDEMPOTENT ||
    level === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
  );
}

async function wait(clock: Clock, waitMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(clock, waitMs, signal, { holdsProcess: true }); // somebody awaits the call
  } catch (reason) {
    throw ConnectError.from(reason, Code.Canceled);
  }
}

/** Retry throttling of gRFC A6: tokens that failures spend and successes slowly earn back. */
export interface RetryBudget {
  /** Notes a failure; false: too many calls fail, do not add a retry to them. */
  failed(): boolean;
  succeeded(): void;
}

export function createRetryBudget(maxTokens = 10, tokenRatio = 0.1): RetryBudget {
  let tokens = maxTokens;
  return {
    failed() {
      tokens = Math.max(0, tokens - 1);
      return tokens > maxTokens / 2;
    },
    succeeded() {
      tokens = Math.min(maxTokens, tokens + tokenRatio);
    },
  };
}
