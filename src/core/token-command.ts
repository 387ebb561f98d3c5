import type { Change, UnstampedCommit } from "./change.js";
import { type Command, commitOf, type DecisionContext } from "./decision.js";
import { DomainError, notFound } from "./errors.js";
import { PLAIN_TOKEN, type Scope, type TokenRecord } from "./token.js";

/** Stores a token whose id and hash were made outside. */
export function createToken(token: {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly hash: string;
  /** Wall-clock ms. */
  readonly expiresAt?: number | undefined;
  readonly maxUses?: number;
}): Command<TokenRecord> {
  return (context) => {
    const record: TokenRecord = { ...PLAIN_TOKEN, ...token, createdAt: context.at };
    return { commit: commitToken(context, record, "token created"), outcome: record };
  };
}

/** @throws DomainError: no such token, or it is the caller's own. */
export function revokeToken(id: string, callerTokenId: string): Command<TokenRecord> {
  return (context) => {
    const before = context.catalog.token(id);
    if (!before) throw notFound("token", id);
    if (id === callerTokenId)
      throw new DomainError("a token cannot revoke itself: use another admin token", {
        kind: "precondition",
        reason: "TOKEN_IN_USE",
      });
    if (before.revokedAt !== undefined) return { commit: undefined, outcome: before };
    const record = { ...before, revokedAt: context.at };
    return { commit: commitToken(context, record, "token revoked"), outcome: record };
  };
}

function commitToken(
  context: DecisionContext,
  record: TokenRecord,
  reason: "token created" | "token revoked",
): UnstampedCommit {
  return commitOf(context, reason, [tokenChange(record)], { tokens: [record] });
}

function tokenChange({ id, name }: TokenRecord): Change {
  return { subject: "token", subjectId: id, type: "put", detail: name };
}

/** The same commit with tokens written along. */
export function withTokens(
  commit: UnstampedCommit,
  tokens: readonly TokenRecord[],
): UnstampedCommit {
  if (tokens.length === 0) return commit;
  return {
    ...commit,
    changes: [...commit.changes, ...tokens.map(tokenChange)],
    tokens: [...commit.tokens, ...tokens],
  };
}

/** An instance's own tokens that are valid, as they are once they are revoked. */
export function revokedTokensOf(
  instanceId: string,
  { catalog, at }: DecisionContext,
): TokenRecord[] {
  return catalog
    .tokensOf(instanceId)
    .filter(({ revokedAt }) => revokedAt === undefined)
    .map((token) => ({ ...token, revokedAt: at }));
}
