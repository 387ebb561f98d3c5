import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { DomainError, type Refusal } from "../core/errors.js";
import type { Scope, TokenRecord } from "../core/token.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { addressOf } from "../wire/handler-context.js";
import { authenticate } from "./authenticate.js";
import { deferResponses } from "./deferred-responses.js";
import type { FailedAuthentications } from "./failed-authentications.js";
import { toStatus } from "./status.js";

/** The scopes that let a call pass, for every RPC of a service: any one of them is enough. */
export type ScopeTable<S extends DescService> = {
  readonly [Method in keyof S["method"]]: readonly Scope[];
};

export interface GuardOptions {
  readonly tokenById: (id: string) => TokenRecord | undefined;
  readonly wallNow: () => number;
  /** Told of each call that is let in. */
  readonly noteUse: (tokenId: string) => void;
  /** Learns of tokens that others have made; undefined: nobody else makes any. */
  readonly learnTokens: (() => Promise<void>) | undefined;
  readonly failedAuthentications: FailedAuthentications;
  /** Throws if Pulse takes no new calls. */
  readonly admit: () => void;
  /** Told of each call that is refused for what its caller is or is not. */
  readonly onRefused?: (refused: RefusedCall) => void;
  readonly log: Log;
  readonly random: Random;
}

export interface RefusedCall {
  readonly context: HandlerContext;
  /** Of the RPC. */
  readonly method: string;
  readonly refusal: Extract<Refusal, { readonly kind: "unauthenticated" | "denied" }>;
}

type Handler = (request: unknown, context: HandlerContext) => unknown;

/**
 * Wraps an implementation once for every protocol it is mounted on: a call is
 * admitted, authenticated, and whatever goes wrong leaves as a status.
 */
export function guard<S extends DescService>(
  service: S,
  implementation: ServiceImpl<S>,
  scopes: ScopeTable<S>,
  options: GuardOptions,
): ServiceImpl<S> {
  const handlers = implementation as Record<string, Handler>;
  const needed = scopes as Record<string, readonly Scope[]>;
  const guarded = service.methods.map((method) => {
    const handler = handlers[method.localName];
    const methodScopes = needed[method.localName];
    if (!handler || !methodScopes) throw new Error(`${method.name} has no handler or no scopes`);
    return [method.localName, guardMethod(method, handler, methodScopes, options)];
  });
  return Object.fromEntries(guarded) as ServiceImpl<S>;
}

function guardMethod(
  method: DescMethod,
  handler: Handler,
  scopes: readonly Scope[],
  options: GuardOptions,
): Handler {
  const { tokenById, wallNow, noteUse, learnTokens, failedAuthentications, admit } = options;
  const { onRefused, log, random } = options;
  const pass = (context: HandlerContext) =>
    noteUse(authenticate(context, scopes, tokenById, wallNow));
  const isUnary = method.methodKind === "unary" || method.methodKind === "client_streaming";
  const fail = (error: unknown, context: HandlerContext): never => {
    const refusal = error instanceof DomainError ? error.refusal : undefined;
    if (refusal?.kind === "unauthenticated" || refusal?.kind === "denied")
      onRefused?.({ context, method: method.name, refusal });
    throw toStatus(error, log, random);
  };
  const start: Handler = (request, context) => {
    try {
      admit();
      pass(context);
      return handler(request, context);
    } catch (error) {
      const failed = tokenFailure(error);
      if (!failed) return fail(error, context);
      const address = addressOf(context);
      try {
        failedAuthentications.spend(address); // before the database is asked
      } catch (refusal) {
        return fail(refusal, context);
      }
      // The token may be one that this Pulse does not know yet.
      if (!learnTokens || failed !== "TOKEN_INVALID") return fail(error, context);
      const again = async () => {
        await learnTokens();
        try {
          pass(context);
        } catch (refusal) {
          if (!tokenFailure(refusal)) failedAuthentications.refund(address);
          throw refusal;
        }
        failedAuthentications.refund(address);
        return handler(request, context);
      };
      return isUnary ? again() : deferResponses(again as () => Promise<AsyncIterable<unknown>>);
    }
  };
  if (isUnary)
    return (request, context) => {
      const reply = start(request, context);
      return reply instanceof Promise ? reply.catch((error) => fail(error, context)) : reply;
    };
  return (request, context) =>
    withStatus(start(request, context) as AsyncIterable<unknown>, (error) => fail(error, context));
}

/** Why a call has no valid token; undefined if something else is wrong. */
function tokenFailure(error: unknown) {
  return error instanceof DomainError && error.refusal.kind === "unauthenticated"
    ? error.refusal.reason
    : undefined;
}

/** The same responses; an error among them leaves as a status. */
function withStatus(
  responses: AsyncIterable<unknown>,
  fail: (error: unknown) => never,
): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = responses[Symbol.asyncIterator]();
      return {
        next: () => iterator.next().catch(fail),
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}
