import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  ListServicesRequestSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { invalidField } from "../../src/core/errors.js";
import { PLAIN_TOKEN, type TokenRecord } from "../../src/core/token.js";
import { callerOf } from "../../src/pulse/authenticate.js";
import {
  countFailedAuthentications,
  type FailedAuthentications,
} from "../../src/pulse/failed-authentications.js";
import { type GuardOptions, guard } from "../../src/pulse/guard.js";
import { REGISTRY_SCOPES } from "../../src/pulse/registry-service.js";
import { drainingError, storeUnavailable } from "../../src/pulse/status.js";
import { newToken } from "../../src/pulse/tokens.js";
import { addressKey } from "../../src/wire/handler-context.js";
import { handlerContext } from "../support/handler-context.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { failure } from "../support/status.js";

type Implementation = ServiceImpl<typeof RegistryService>;

const made = newToken(seededRandom());
const record: TokenRecord = {
  ...PLAIN_TOKEN,
  id: made.id,
  name: "test",
  scopes: ["register", "observe"],
  hash: made.hash,
  createdAt: 0,
};

let log: ReturnType<typeof recordingLog>;
let isStopping: boolean;
/** Calls that reached a handler. */
let reached: number;
/** The tokens that this Pulse knows. */
let known: readonly TokenRecord[];
let learnTokens: GuardOptions["learnTokens"];
/** Wall-clock ms. */
let now: number;
/** Ids of the tokens that let calls in. */
let used: string[];
let failedAuthentications: FailedAuthentications;
beforeEach(() => {
  const policy = { burst: 5, perSecond: 1, maxAddresses: 10 };
  failedAuthentications = countFailedAuthentications(policy, new ManualClock(), recordingLog());
  now = 1_000;
  used = [];
  known = [record];
  learnTokens = undefined;
  log = recordingLog();
  isStopping = false;
  reached = 0;
});

const unused = () => {
  throw new Error("this test does not call it");
};

function guarded(handlers: Partial<Implementation>): Implementation {
  const implementation: Implementation = {
    register: unused,
    heartbeat: unused,
    deregister: unused,
    listServices: unused,
    getService: unused,
    watchServices: unused,
    explainService: unused,
    approveService: unused,
    ...handlers,
  };
  return guard(RegistryService, implementation, REGISTRY_SCOPES, {
    tokenById: (id) => known.find((token) => token.id === id),
    wallNow: () => now,
    noteUse: (tokenId) => void used.push(tokenId),
    learnTokens,
    failedAuthentications,
    admit() {
      if (isStopping) throw drainingError(1_000);
    },
    log,
    random: seededRandom(5),
  });
}

/** Calls a unary method as the wire does: a throw and a rejection are the same to it. */
async function list(
  handler: Implementation["listServices"],
  token: string | undefined,
  address = "192.0.2.1",
) {
  const header: Record<string, string> = token === undefined ? {} : { authorization: token };
  const context = handlerContext(RegistryService.method.listServices, header);
  context.values.set(addressKey, address);
  return guarded({
    listServices(request, context) {
      reached++;
      return handler(request, context);
    },
  }).listServices(create(ListServicesRequestSchema), context);
}

/** Opens a stream as the wire does. */
function beat(handler: Implementation["heartbeat"], token = `Bearer ${made.token}`) {
  const context = handlerContext(RegistryService.method.heartbeat, { authorization: token });
  const requests = (async function* () {
    yield create(HeartbeatRequestSchema, { leaseId: "lease" });
  })();
  return guarded({ heartbeat: handler }).heartbeat(requests, context)[Symbol.asyncIterator]();
}

const TOKEN = `Bearer ${made.token}`;
const response = create(HeartbeatResponseSchema, {
  event: { case: "leaseLost", value: { leaseId: "lease" } },
});
const bug = () => new TypeError("s3cret of the inside");

/** The caller got nothing of the bug but an id, under which the log has it. */
function expectLogged(message: string): void {
  expect(message).not.toContain("s3cret");
  const errorId = /[0-9a-f-]{36}/.exec(message)?.[0];
  expect(log.lines).toEqual([
    { level: "error", msg: "rpc.internal_error", fields: { err: bug(), errorId } },
  ]);
}

describe("a call", () => {
  it("that may pass reaches its handler, which knows the caller, and its reply is untouched", async () => {
    const reply = { revision: 7n };
    const tokenIds: string[] = [];
    const answer = await list((_, context) => {
      tokenIds.push(callerOf(context).tokenId);
      return reply;
    }, TOKEN);
    expect(answer).toBe(reply);
    expect(tokenIds).toEqual([made.id]);
  });

  it("is a use of its token, if it was let in by it", async () => {
    await list(() => ({}), TOKEN);
    await failure(list(() => ({}), undefined));
    await failure(list(() => ({}), `${TOKEN}x`));
    known = [{ ...record, scopes: ["register"] }];
    await failure(list(() => ({}), TOKEN));
    expect(used).toEqual([made.id]);
  });

  it("with a token that has expired says so, to who has the whole token", async () => {
    known = [{ ...record, expiresAt: 2_000 }];
    now = 1_999;
    await list(() => ({}), TOKEN);
    now = 2_000;
    learnTokens = () => expect.unreachable("nobody has another by that id");
    expect(await failure(list(() => ({}), TOKEN))).toMatchObject({
      code: "Unauthenticated",
      reason: "TOKEN_EXPIRED",
    });
  });

  it("without a token does not reach its handler", async () => {
    expect(await failure(list(() => ({}), undefined))).toMatchObject({
      code: "Unauthenticated",
      reason: "TOKEN_MISSING",
    });
    expect(reached).toBe(0);
  });

  it("to a Pulse that stops does not reach its handler, whoever makes it", async () => {
    isStopping = true;
    for (const token of [TOKEN, undefined])
      expect(await failure(list(() => ({}), token))).toMatchObject({
        code: "Unavailable",
        reason: "DRAINING",
        retryAfterMs: 1_000,
      });
    expect(reached).toBe(0);
  });

  it.each<[string, Implementation["listServices"]]>([
    [
      "throws",
      () => {
        throw bug();
      },
    ],
    ["rejects", () => Promise.reject(bug())],
  ])("whose handler %s a bug is INTERNAL with an id, and logged with it", async (_, handler) => {
    const status = await failure(list(handler, TOKEN));
    expect(status).toMatchObject({ code: "Internal", reason: undefined });
    expectLogged(status.message);
  });

  it("whose handler refuses has that refusal's status, and no line in the log", async () => {
    const refuse = async () => {
      throw invalidField("page_size", "is too large");
    };
    expect(await failure(list(refuse, TOKEN))).toMatchObject({
      code: "InvalidArgument",
      fields: ["page_size"],
    });
    expect(log.lines).toEqual([]);
  });
});

describe("a stream", () => {
  it("gives the handler's responses one by one, and its end", async () => {
    const iterator = beat(async function* (requests) {
      for await (const _ of requests) yield response;
    });
    expect(await iterator.next()).toEqual({ done: false, value: response });
    expect((await iterator.next()).done).toBe(true);
  });

  it("without a valid token is refused before its handler is asked", () => {
    expect(() => beat(unused, "Bearer nonsense")).toThrow(ConnectError);
    expect(log.lines).toEqual([]);
  });

  it("with a bug among its responses ends as INTERNAL with an id, and is logged with it", async () => {
    const iterator = beat(async function* () {
      yield response;
      throw bug();
    });
    expect((await iterator.next()).done).toBe(false);
    const status = await failure(iterator.next());
    expect(status.code).toBe("Internal");
    expectLogged(status.message);
  });

  it("that the handler ends with a refusal, or whose peer has gone, says so and logs nothing", async () => {
    const ended = beat(async function* () {
      yield response;
      throw drainingError(1_000);
    });
    await ended.next();
    expect(await failure(ended.next())).toMatchObject({ reason: "DRAINING" });
    const gone = beat(async function* () {
      yield response;
      throw new ConnectError("gone", Code.Canceled);
    });
    await gone.next();
    expect(await failure(gone.next())).toMatchObject({ code: "Canceled" });
    expect(log.lines).toEqual([]);
  });

  it("that is abandoned tells its handler", async () => {
    let cleanedUp = false;
    const iterator = beat(async function* () {
      try {
        for (;;) yield response;
      } finally {
        cleanedUp = true;
      }
    });
    await iterator.next();
    expect((await iterator.return?.())?.done).toBe(true);
    expect(cleanedUp).toBe(true);
  });
});

describe("a token that this Pulse does not know", () => {
  let asked: number;
  /** Another Pulse has made it: once that is asked for, it is known. */
  const elsewhere = async () => {
    asked++;
    known = [record];
  };
  beforeEach(() => {
    asked = 0;
    known = [];
    learnTokens = elsewhere;
  });

  it("is asked for before its call is refused, and passes if another Pulse has made it", async () => {
    expect(await list(() => ({ revision: 7n }), TOKEN)).toEqual({ revision: 7n });
    expect([asked, reached]).toEqual([1, 1]);
    await list(() => ({}), TOKEN);
    expect(asked).toBe(1);
  });

  it("is refused if nobody has made it", async () => {
    learnTokens = async () => void asked++;
    expect(await failure(list(() => ({}), TOKEN))).toMatchObject({ reason: "TOKEN_INVALID" });
    expect([asked, reached]).toEqual([1, 0]);
  });

  it("is not called invalid while nobody can say", async () => {
    learnTokens = () => Promise.reject(storeUnavailable());
    expect(await failure(list(() => ({}), TOKEN))).toMatchObject({
      code: "Unavailable",
      reason: "STORE_UNAVAILABLE",
    });
    const iterator = beat(unused);
    expect(await failure(iterator.next())).toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(log.lines).toEqual([]);
  });

  it("opens a stream as well, once its first response is asked for", async () => {
    let opened = 0;
    const iterator = beat(async function* () {
      opened++;
      yield response;
    });
    expect(opened).toBe(0);
    expect(await iterator.next()).toEqual({ done: false, value: response });
    expect([asked, opened]).toEqual([1, 1]);
  });

  it("is not asked for if there is none, or if it only lacks the scope", async () => {
    known = [{ ...record, scopes: ["register"] }];
    expect(await failure(list(() => ({}), undefined))).toMatchObject({ reason: "TOKEN_MISSING" });
    expect(await failure(list(() => ({}), TOKEN))).toMatchObject({ code: "PermissionDenied" });
    expect(asked).toBe(0);
  });

  it("of whose handler a refusal comes is not asked for twice", async () => {
    known = [record];
    const refuse = () => {
      throw invalidField("page_size", "is too large");
    };
    expect(await failure(list(refuse, TOKEN))).toMatchObject({ code: "InvalidArgument" });
    expect(asked).toBe(0);
  });
});

describe("an address with too many calls without a valid token", () => {
  const UNKNOWN = `Bearer ${newToken(seededRandom(2)).token}`;
  let asked: number;
  beforeEach(async () => {
    asked = 0;
    learnTokens = async () => void asked++;
    for (let n = 0; n < 5; n++)
      expect(await failure(list(() => ({}), n < 2 ? undefined : UNKNOWN))).toMatchObject({
        code: "Unauthenticated",
      });
    expect(asked).toBe(3);
  });

  it("is told so, and when it may make the next, and the database is not asked any more", async () => {
    for (const token of [undefined, UNKNOWN, "nonsense"])
      expect(await failure(list(() => ({}), token))).toMatchObject({
        code: "ResourceExhausted",
        reason: "TOO_MANY_FAILED_AUTHENTICATIONS",
        retryAfterMs: 1_000,
      });
    expect([asked, reached]).toEqual([3, 0]);
  });

  it("is answered as ever if its token is valid, though it may lack the scope, and so are others", async () => {
    expect(await list(() => ({ revision: 7n }), TOKEN)).toEqual({ revision: 7n });
    expect(await failure(list(() => ({}), undefined, "192.0.2.2"))).toMatchObject({
      reason: "TOKEN_MISSING",
    });
    known = [{ ...record, scopes: ["register"] }];
    expect(await failure(list(() => ({}), TOKEN))).toMatchObject({ reason: "SCOPE_MISSING" });
  });
});

it("a token that turns out to be valid was no failure, whether it has the scope or not", async () => {
  for (let n = 0; n < 10; n++) {
    known = [];
    const scopes: TokenRecord["scopes"] = n % 2 === 0 ? ["observe"] : ["register"];
    learnTokens = async () => {
      known = [{ ...record, scopes }];
    };
    const outcome = list(() => ({}), TOKEN);
    if (n % 2 === 0) await outcome;
    else expect(await failure(outcome)).toMatchObject({ reason: "SCOPE_MISSING" });
  }
});

it("a method without scopes is a mistake that shows at the start, not at the first call", () => {
  const { getService: _, ...incomplete } = REGISTRY_SCOPES;
  const options: GuardOptions = {
    tokenById: () => undefined,
    wallNow: () => 0,
    noteUse: () => {},
    learnTokens: undefined,
    failedAuthentications,
    admit: () => {},
    log,
    random: seededRandom(),
  };
  expect(() =>
    guard(RegistryService, guarded({}), incomplete as typeof REGISTRY_SCOPES, options),
  ).toThrow("GetService has no handler or no scopes");
});
