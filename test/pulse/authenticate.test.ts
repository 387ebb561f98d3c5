import { describe, expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { DomainError } from "../../src/core/errors.js";
import { PLAIN_TOKEN, type Scope, type TokenRecord } from "../../src/core/token.js";
import {
  authenticate,
  callerOf,
  confirmCaller,
  confirmInstance,
} from "../../src/pulse/authenticate.js";
import { newToken } from "../../src/pulse/tokens.js";
import { handlerContext } from "../support/handler-context.js";
import { seededRandom } from "../support/seeded-random.js";

const made = newToken(seededRandom());
const record: TokenRecord = {
  ...PLAIN_TOKEN,
  id: made.id,
  name: "haul",
  scopes: ["register"],
  hash: made.hash,
  createdAt: 0,
};

function call(header: Record<string, string>, needed: readonly Scope[] = ["register"]) {
  const context = handlerContext(RegistryService.method.register, header);
  let refusal: unknown;
  try {
    authenticate(
      context,
      needed,
      (id) => (id === record.id ? record : undefined),
      () => 0,
    );
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    refusal = error.refusal;
  }
  return { context, refusal };
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe("a call", () => {
  it("with a token of a scope that it needs passes, and its caller is known from then on", () => {
    const { context, refusal } = call(bearer(made.token), ["discover", "register"]);
    expect(refusal).toBeUndefined();
    expect(callerOf(context)).toEqual({
      tokenId: made.id,
      tokenName: "haul",
      scopes: ["register"],
      instanceId: "",
    });
  });

  it("without the scope is refused, and has no caller", () => {
    const { context, refusal } = call(bearer(made.token), ["admin"]);
    expect(refusal).toEqual({ kind: "denied", reason: "SCOPE_MISSING" });
    expect(() => callerOf(context)).toThrow("was not authenticated");
  });

  it("without a token, or with another, is refused whatever it needs", () => {
    expect(call({}).refusal).toEqual({ kind: "unauthenticated", reason: "TOKEN_MISSING" });
    const { context, refusal } = call(bearer(`${made.token}x`), []);
    expect(refusal).toEqual({ kind: "unauthenticated", reason: "TOKEN_INVALID" });
    expect(() => callerOf(context)).toThrow("was not authenticated");
  });
});

describe("a caller", () => {
  /** A call that was let in by a token, which has become another meanwhile. */
  function confirmed(become: Partial<TokenRecord>, at = 0) {
    const context = handlerContext(RegistryService.method.register, bearer(made.token));
    let now = 0;
    authenticate(
      context,
      ["register"],
      () => ({ ...record, expiresAt: 1_000 }),
      () => now,
    );
    now = at;
    try {
      confirmCaller(context, () => ({ ...record, expiresAt: 1_000, ...become }));
    } catch (error) {
      return error instanceof DomainError && error.refusal;
    }
    return "passed";
  }

  it("whose token is as it was passes again", () => {
    expect(confirmed({}, 999)).toBe("passed");
  });

  it("whose token was revoked, got another secret or expired meanwhile does not", () => {
    const invalid = { kind: "unauthenticated", reason: "TOKEN_INVALID" };
    expect(confirmed({ revokedAt: 1 })).toEqual(invalid);
    expect(confirmed({ hash: "another" })).toEqual(invalid);
    expect(confirmed({}, 1_000)).toEqual({ kind: "unauthenticated", reason: "TOKEN_EXPIRED" });
  });
});

it("a token of an instance's own is good for that instance alone", () => {
  const context = handlerContext(RegistryService.method.register, bearer(made.token));
  authenticate(
    context,
    ["register"],
    () => ({ ...record, instanceId: "i1" }),
    () => 0,
  );
  expect(() => confirmInstance(context, "i1")).not.toThrow();
  for (const other of ["i2", ""])
    expect(() => confirmInstance(context, other)).toThrow('good for instance "i1" alone');
});
