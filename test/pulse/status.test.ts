import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DomainError, invalid, type Refusal } from "../../src/core/errors.js";
import { drainingError, durationOf, toStatus } from "../../src/pulse/status.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { type Status, statusOf } from "../support/status.js";

type Known = { readonly [Kind in Refusal["kind"]]: Extract<Refusal, { kind: Kind }> };

/** One of each kind: a new kind does not compile until it is here. */
const REFUSALS: Known = {
  invalid: {
    kind: "invalid",
    violations: [
      { field: "service.name", description: "is required" },
      { field: "requested_ttl", description: "must be from 5 s to 300 s" },
    ],
  },
  unauthenticated: { kind: "unauthenticated", reason: "TOKEN_MISSING" },
  denied: { kind: "denied", reason: "SECRET_MISMATCH" },
  "not-found": { kind: "not-found", resource: "service", id: "x" },
  precondition: { kind: "precondition", reason: "TOKEN_IN_USE" },
  conflict: { kind: "conflict", reason: "ETAG_MISMATCH" },
  exists: {
    kind: "exists",
    reason: "NAME_TAKEN",
    violations: [{ field: "download_client.name", description: "is the name of another entry" }],
  },
  lagging: { kind: "lagging" },
  draining: { kind: "draining", retryAfterMs: 1_000 },
  "store-unavailable": { kind: "store-unavailable", retryAfterMs: 2_000 },
  quota: { kind: "quota", reason: "TOO_MANY_SERVICES", retryAfterMs: 60_500 },
};

type Expected = Omit<Status, "message">;
const status = (code: string, reason: string, rest: Partial<Expected> = {}): Expected => ({
  code,
  reason,
  fields: [],
  retryAfterMs: undefined,
  ...rest,
});

const STATUSES: { readonly [Kind in Refusal["kind"]]: Expected } = {
  invalid: status("InvalidArgument", "FIELD_INVALID", {
    fields: ["service.name", "requested_ttl"],
  }),
  unauthenticated: status("Unauthenticated", "TOKEN_MISSING"),
  denied: status("PermissionDenied", "SECRET_MISMATCH"),
  "not-found": status("NotFound", "NOT_FOUND"),
  precondition: status("FailedPrecondition", "TOKEN_IN_USE"),
  conflict: status("Aborted", "ETAG_MISMATCH"),
  exists: status("AlreadyExists", "NAME_TAKEN", { fields: ["download_client.name"] }),
  lagging: status("ResourceExhausted", "WATCHER_LAGGING"),
  draining: status("Unavailable", "DRAINING", { retryAfterMs: 1_000 }),
  "store-unavailable": status("Unavailable", "STORE_UNAVAILABLE", { retryAfterMs: 2_000 }),
  quota: status("ResourceExhausted", "TOO_MANY_SERVICES", { retryAfterMs: 60_500 }),
};

function convert(error: unknown) {
  const log = recordingLog();
  return { log, converted: toStatus(error, log, seededRandom()) };
}

describe("a refusal", () => {
  it.each(Object.values(REFUSALS))("of kind $kind has its status", (refusal) => {
    const { converted, log } = convert(new DomainError("what to do", refusal));
    expect(statusOf(converted)).toEqual({ ...STATUSES[refusal.kind], message: "what to do" });
    expect(log.lines).toEqual([]);
  });

  it("of an invalid request says each field in its message too", () => {
    const { converted } = convert(invalid(REFUSALS.invalid.violations));
    expect(converted.rawMessage).toBe(
      "service.name: is required; requested_ttl: must be from 5 s to 300 s",
    );
  });

  it("keeps its cause to itself", () => {
    const cause = new Error("SQLITE_IOERR at /secret/path");
    const error = new DomainError("try later", REFUSALS["store-unavailable"], { cause });
    const { converted } = convert(error);
    expect(converted.message).toBe("[unavailable] try later");
    expect(converted.cause).toBeUndefined();
  });
});

it("a status that is one already stays as it is, and is not logged", () => {
  const error = new ConnectError("cancelled", Code.Canceled);
  const { converted, log } = convert(error);
  expect(converted).toBe(error);
  expect(log.lines).toEqual([]);
});

describe("a bug", () => {
  it.each([new TypeError("k3y is not a function"), "k3y", undefined])(
    "(%s) leaves as INTERNAL with an id and no text of it, and is logged whole with that id",
    (bug) => {
      const { converted, log } = convert(bug);
      expect(converted.code).toBe(Code.Internal);
      expect(converted.message).not.toContain("k3y");
      expect([converted.cause, converted.details]).toEqual([undefined, []]);
      const errorId = /[0-9a-f-]{36}/.exec(converted.rawMessage)?.[0];
      expect(errorId).toBeDefined();
      expect(log.lines).toEqual([
        { level: "error", msg: "rpc.internal_error", fields: { err: bug, errorId } },
      ]);
    },
  );

  it("has an id of its own each time", () => {
    const random = seededRandom();
    const [one, two] = [1, 2].map(() => toStatus(new Error("x"), recordingLog(), random).message);
    expect(one).not.toBe(two);
  });
});

it("draining asks the client to wait", () => {
  expect(statusOf(convert(drainingError(1_500)).converted)).toMatchObject({
    code: "Unavailable",
    reason: "DRAINING",
    retryAfterMs: 1_500,
  });
});

it.each([
  [0, 0n, 0],
  [999.6, 1n, 0],
  [1_500, 1n, 500_000_000],
  [300_000, 300n, 0],
])("%d ms as a duration", (ms, seconds, nanos) => {
  expect(durationOf(ms)).toMatchObject({ seconds, nanos });
});
