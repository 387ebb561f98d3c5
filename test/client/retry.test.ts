import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import {
  type ListServicesResponseSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import {
  createRetry,
  createRetryBudget,
  type RetryOptions,
  type RetryPolicy,
} from "../../src/client/retry.js";
import { ManualClock } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";

type Answer = MessageInitShape<typeof ListServicesResponseSchema>;

/** A Pulse that answers by `answers`, one after another, and then well. */
function setUp(
  answers: (ConnectError | "silent")[],
  policy: Partial<RetryPolicy> = {},
  endpoints?: RetryOptions["endpoints"],
) {
  const clock = new ManualClock();
  const calls: { at: number; earlier: string | null }[] = [];
  const answer = async (header: Headers, signal: AbortSignal): Promise<Answer> => {
    calls.push({ at: clock.now() - 1_000, earlier: header.get("grpc-previous-rpc-attempts") });
    const next = answers[calls.length - 1];
    if (next instanceof ConnectError) throw next;
    if (next === "silent")
      await new Promise((_, reject) => signal.addEventListener("abort", reject, { once: true }));
    return { revision: 7n };
  };
  const transport = createRouterTransport(
    ({ service }) => {
      service(RegistryService, {
        listServices: (_, context) => answer(context.requestHeader, context.signal),
      });
      service(TokenService, {
        createToken: async (_, context) => {
          await answer(context.requestHeader, context.signal);
          return {};
        },
      });
    },
    {
      transport: {
        interceptors: [
          createRetry({ clock, random: seededRandom(3), policy, ...(endpoints && { endpoints }) }),
        ],
      },
    },
  );
  return {
    clock,
    calls,
    registry: createClient(RegistryService, transport),
    tokens: createClient(TokenService, transport),
  };
}

const away = () => new ConnectError("away", Code.Unavailable);

/** What a call came to, once the clock has moved on. */
async function outcome(call: Promise<unknown>, clock: ManualClock, ms: number) {
  const settled = call.then(
    (value) => value,
    (error) => ConnectError.from(error).code,
  );
  await clock.advance(ms);
  return settled;
}

describe("an idempotent unary call", () => {
  it.each([Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted, Code.Aborted])(
    "is tried again after code %i",
    async (code) => {
      const { registry, clock, calls } = setUp([new ConnectError("x", code)]);
      expect(await outcome(registry.listServices({}), clock, 2_000)).toMatchObject({
        revision: 7n,
      });
      expect(calls.map((call) => call.earlier)).toEqual([null, "1"]);
      expect(clock.pending).toBe(0);
    },
  );

  it.each([Code.InvalidArgument, Code.Unauthenticated, Code.Internal, Code.NotFound])(
    "is not tried again after code %i",
    async (code) => {
      const { registry, clock, calls } = setUp([new ConnectError("x", code)]);
      expect(await outcome(registry.listServices({}), clock, 60_000)).toBe(code);
      expect(calls).toHaveLength(1);
    },
  );

  it("waits with full jitter below 2 s, 4 s, 8 s …", async () => {
    const { registry, clock, calls } = setUp([away(), away(), away()], { totalTimeoutMs: 100_000 });
    await outcome(registry.listServices({}), clock, 100_000);
    expect(calls).toHaveLength(4);
    for (const [i, call] of calls.slice(1).entries()) {
      const waited = call.at - (calls[i]?.at ?? 0);
      expect(waited).toBeGreaterThan(0);
      expect(waited).toBeLessThan(2_000 * 2 ** i);
    }
  });

  it("abandons a silent server at the attempt's deadline, and asks again", async () => {
    const { registry, clock, calls } = setUp(["silent"]);
    const call = outcome(registry.listServices({}), clock, 12_000);
    expect(await call).toMatchObject({ revision: 7n });
    expect(calls[1]?.at).toBeGreaterThanOrEqual(10_000);
  });

  it("never asks sooner than RetryInfo or the pushback says", async () => {
    const retryDelay = durationFromMs(5_000);
    const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
    const info = new ConnectError("full", Code.ResourceExhausted, undefined, [detail]);
    const pushback = new ConnectError("full", Code.Unavailable, {
      "grpc-retry-pushback-ms": "9000",
    });
    const { registry, clock, calls } = setUp([info, pushback]);
    await outcome(registry.listServices({}), clock, 30_000);
    expect(calls[1]?.at).toBeGreaterThanOrEqual(5_000);
    expect((calls[2]?.at ?? 0) - (calls[1]?.at ?? 0)).toBeGreaterThanOrEqual(9_000);
  });

  it("stops when the server asks for that with a negative pushback", async () => {
    const error = new ConnectError("no", Code.Unavailable, { "grpc-retry-pushback-ms": "-1" });
    const { registry, clock, calls } = setUp([error]);
    expect(await outcome(registry.listServices({}), clock, 60_000)).toBe(Code.Unavailable);
    expect(calls).toHaveLength(1);
  });

  it("gives the real error in time rather than wait past its deadline", async () => {
    const { registry, clock } = setUp(Array(20).fill(away()), { totalTimeoutMs: 3_000 });
    expect(await outcome(registry.listServices({}), clock, 3_000)).toBe(Code.Unavailable);
    expect(clock.pending).toBe(0);
  });

  it("can be cancelled while it waits, and leaves no timer", async () => {
    const { registry, clock, calls } = setUp([away(), away()]);
    const controller = new AbortController();
    const call = outcome(registry.listServices({}, { signal: controller.signal }), clock, 1);
    controller.abort();
    expect(await call).toBe(Code.Canceled);
    await clock.advance(60_000);
    expect(calls).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it("is made once if retry is limited to one attempt", async () => {
    const { registry, clock, calls } = setUp([away()], { maxAttempts: 1 });
    expect(await outcome(registry.listServices({}), clock, 60_000)).toBe(Code.Unavailable);
    expect(calls).toHaveLength(1);
  });
});

it("keeps the process alive while it waits to try again: somebody awaits it", async () => {
  const { registry, clock } = setUp([away()]);
  const held: (boolean | undefined)[] = [];
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, fn, how?: { readonly holdsProcess?: boolean }) => {
    held.push(how?.holdsProcess);
    return setTimer(delayMs, fn);
  };
  await outcome(registry.listServices({}), clock, 2_000);
  expect(held).toEqual([undefined, true, undefined]); // an attempt, the wait, an attempt
});

describe("with several endpoints", () => {
  const untried = { others: "untried", count: 3 } as const;
  const waits = (calls: readonly { at: number }[]) =>
    calls.slice(1).map(({ at }, i) => at - (calls[i]?.at ?? 0));
  const withDetails = (reason: string) =>
    new ConnectError("x", Code.Unavailable, undefined, [
      {
        desc: RetryInfoSchema,
        value: create(RetryInfoSchema, { retryDelay: durationFromMs(5_000) }),
      },
      { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "pulse" }) },
    ]);

  it("a call that one has failed is tried on each other one soon, then with backoff", async () => {
    const { registry, clock, calls } = setUp(Array(4).fill(away()), {}, untried);
    await outcome(registry.listServices({}), clock, 60_000);
    const [first, second, third] = waits(calls) as [number, number, number];
    expect(first).toBeLessThan(500);
    expect(second).toBeLessThan(500);
    expect(third).toBeLessThan(2_000); // the first of the backoff: it has not grown
    expect(third).toBeGreaterThan(500); // seeded
    expect(calls.map(({ earlier }) => earlier)).toEqual([null, "1", "2", "3", "4"]);
  });

  it("waits with backoff from the start where all others have failed", async () => {
    const alone = setUp([away(), away()]);
    const { registry, clock, calls } = setUp([away(), away()], {}, { others: "tried", count: 3 });
    await outcome(registry.listServices({}), clock, 60_000);
    await outcome(alone.registry.listServices({}), alone.clock, 60_000);
    expect(calls).toEqual(alone.calls);
  });

  it("is held up by no node that is stopping, but by a database that is away", async () => {
    for (const [reason, floorMs] of [
      ["DRAINING", 0],
      ["STORE_UNAVAILABLE", 5_000],
    ] as const) {
      const { registry, clock, calls } = setUp([withDetails(reason)], {}, untried);
      await outcome(registry.listServices({}), clock, 60_000);
      expect(waits(calls)[0]).toBeGreaterThanOrEqual(floorMs);
      expect(waits(calls)[0]).toBeLessThan(floorMs + 500);
    }
  });

  it("asks no other one to hurry where the call itself is at fault", async () => {
    const busy = () => new ConnectError("x", Code.ResourceExhausted);
    const alone = setUp([busy(), busy()]);
    const { registry, clock, calls } = setUp([busy(), busy()], {}, untried);
    await outcome(registry.listServices({}), clock, 60_000);
    await outcome(alone.registry.listServices({}), alone.clock, 60_000);
    expect(calls).toEqual(alone.calls);
  });

  it("makes no more attempts than it may", async () => {
    const { registry, clock, calls } = setUp(Array(9).fill(away()), { maxAttempts: 2 }, untried);
    expect(await outcome(registry.listServices({}), clock, 60_000)).toBe(Code.Unavailable);
    expect(calls).toHaveLength(2);
  });
});

describe("a call that is not safe to repeat", () => {
  it("is made once", async () => {
    const { tokens, clock, calls } = setUp([away()]);
    expect(await outcome(tokens.createToken({ name: "x" }), clock, 60_000)).toBe(Code.Unavailable);
    expect(calls).toHaveLength(1);
  });

  it("has a deadline all the same", async () => {
    const { tokens, clock } = setUp(["silent"]);
    expect(await outcome(tokens.createToken({ name: "x" }), clock, 10_000)).toBe(
      Code.DeadlineExceeded,
    );
  });
});

describe("the retry budget", () => {
  it("allows retries while more than half of its tokens are left, and earns them back slowly", () => {
    const budget = createRetryBudget(10, 0.1);
    expect([1, 2, 3, 4, 5].map(() => budget.failed())).toEqual([true, true, true, true, false]);
    for (let i = 0; i < 9; i++) budget.succeeded();
    expect(budget.failed()).toBe(false);
    for (let i = 0; i < 20; i++) budget.succeeded();
    expect(budget.failed()).toBe(true);
  });

  it("is shared by the calls of one connection: a storm is not multiplied", async () => {
    const { registry, clock, calls } = setUp(Array(1_000).fill(away()));
    const storm = Array.from({ length: 50 }, () => outcome(registry.listServices({}), clock, 1));
    await clock.advance(120_000);
    await Promise.all(storm);
    expect(calls.length).toBeLessThanOrEqual(50 + 4);
  });
});
