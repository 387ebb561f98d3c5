import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { DomainError } from "../core/errors.js";
import { allows, type Scope, type TokenRecord } from "../core/token.js";
import { headerOf } from "../wire/handler-context.js";
import { invalidToken, verifyToken } from "./tokens.js";

/** Who makes a call. */
export interface Caller {
  readonly tokenId: string;
  readonly tokenName: string;
  readonly scopes: readonly Scope[];
}

const callerKey = createContextKey<Caller | undefined>(undefined, {
  description: "who makes this call",
});

/**
 * Lets a call pass if its token carries one of `needed`, and remembers the caller.
 * @throws DomainError: UNAUTHENTICATED without a valid token, PERMISSION_DENIED without the scope.
 */
export function authenticate(
  context: HandlerContext,
  needed: readonly Scope[],
  tokenById: (id: string) => TokenRecord | undefined,
): void {
  const token = verifyToken(headerOf(context, "authorization"), tokenById);
  if (!allows(token.scopes, needed))
    throw new DomainError(`this call needs a token with scope ${needed.join(" or ")}`, {
      kind: "denied",
      reason: "SCOPE_MISSING",
    });
  context.values.set(callerKey, {
    tokenId: token.id,
    tokenName: token.name,
    scopes: token.scopes,
  });
}

/** @throws DomainError: UNAUTHENTICATED if the token of a call that has passed is not valid any more. */
export function confirmCaller(
  context: HandlerContext,
  tokenById: (id: string) => TokenRecord | undefined,
): void {
  const token = tokenById(callerOf(context).tokenId);
  if (!token || token.revokedAt !== undefined) throw invalidToken();
}

/** The caller of a call that has passed. */
export function callerOf(context: HandlerContext): Caller {
  const caller = context.values.get(callerKey);
  if (!caller) throw new Error("this call was not authenticated");
  return caller;
}
