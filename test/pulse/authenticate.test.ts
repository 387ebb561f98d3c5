import { describe, expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { DomainError } from "../../src/core/errors.js";
import { PLAIN_TOKEN, type Scope, type TokenRecord } from "../../src/core/token.js";
import { authenticate, callerOf } from "../../src/pulse/authenticate.js";
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
    authenticate(context, needed, (id) => (id === record.id ? record : undefined));
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
