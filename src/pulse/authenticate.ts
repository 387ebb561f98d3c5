import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Actor } from "../core/audit.js";
import { DomainError } from "../core/errors.js";
import { allows, type Scope, type TokenRecord } from "../core/token.js";
import { addressOf, headerOf } from "../wire/handler-context.js";
import { invalidToken, refuseEnded, verifyToken } from "./tokens.js";

/** Who makes a call. */
export interface Caller {
  readonly tokenId: string;
  readonly tokenName: string;
  readonly scopes: readonly Scope[];
  /** The only instance that the token is good for; empty: any. */
  readonly instanceId: string;
}

/** A caller, and what it takes to look at its token again. */
interface Admitted {
  readonly caller: Caller;
  /** Of the token that it has shown. */
  readonly hash: string;
  readonly wallNow: () => number;
}

const callerKey = createContextKey<Admitted | undefined>(undefined, {
  description: "who makes this call",
});
const refusedKey = createContextKey<Caller | undefined>(undefined, {
  description: "whose token is valid, and has not the scope for this call",
});

/**
 * Lets a call pass if its token carries one of `needed`, and remembers the caller.
 * @returns the id of the token
 * @throws DomainError: UNAUTHENTICATED without a valid token, PERMISSION_DENIED without the scope.
 */
export function authenticate(
  context: HandlerContext,
  needed: readonly Scope[],
  tokenById: (id: string) => TokenRecord | undefined,
  wallNow: () => number,
): string {
  const token = verifyToken(headerOf(context, "authorization"), tokenById, wallNow());
  const { id: tokenId, name: tokenName, scopes, instanceId, hash } = token;
  const caller: Caller = { tokenId, tokenName, scopes, instanceId };
  if (!allows(token.scopes, needed)) {
    context.values.set(refusedKey, caller);
    throw new DomainError(`this call needs a token with scope ${needed.join(" or ")}`, {
      kind: "denied",
      reason: "SCOPE_MISSING",
    });
  }
  context.values.set(callerKey, { caller, hash, wallNow });
  return tokenId;
}

/** @throws DomainError: UNAUTHENTICATED if the token of a call that has passed is not valid any more. */
export function confirmCaller(
  context: HandlerContext,
  tokenById: (id: string) => TokenRecord | undefined,
): void {
  const { caller, hash, wallNow } = admitted(context);
  const token = tokenById(caller.tokenId);
  if (token?.hash !== hash) throw invalidToken();
  refuseEnded(token, wallNow());
}

/** @throws DomainError: PERMISSION_DENIED if the caller's token is good for another instance alone. */
export function confirmInstance(context: HandlerContext, instanceId: string): void {
  const own = callerOf(context).instanceId;
  if (own !== "" && own !== instanceId)
    throw new DomainError(
      `this token is good for instance ${JSON.stringify(own)} alone: send its instance_id, or use another token`,
      { kind: "denied", reason: "INSTANCE_MISMATCH" },
    );
}

/** The caller of a call that has passed. */
export function callerOf(context: HandlerContext): Caller {
  return admitted(context).caller;
}

function admitted(context: HandlerContext): Admitted {
  const passed = context.values.get(callerKey);
  if (!passed) throw new Error("this call was not authenticated");
  return passed;
}

/** Who makes a call, for the audit log; without a token if it has none that is valid. */
export function actorOf(context: HandlerContext): Actor {
  const { values } = context;
  const caller = values.get(callerKey)?.caller ?? values.get(refusedKey);
  const { tokenId = "", tokenName = "" } = caller ?? {};
  return { tokenId, tokenName, address: addressOf(context) };
}
