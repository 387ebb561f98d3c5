import type { Command, DecisionContext } from "./decision.js";
import { DomainError } from "./errors.js";
import type { RegisterOutcome } from "./registration.js";
import { PLAIN_TOKEN, type TokenRecord } from "./token.js";
import { revokedTokensOf, withTokens } from "./token-command.js";

/** The token that an instance gets in return for a join token; its secret was made outside. */
export interface OwnToken {
  /** Its id, if the instance has none that goes on. */
  readonly id: string;
  /** Hash of the whole token, which names its id. */
  readonly hashFor: (id: string) => string;
}

export interface JoinOutcome extends RegisterOutcome {
  /** Id of the instance's own token. */
  readonly ownTokenId: string;
}

/**
 * A Register with a join token: the same commit counts the use and gives the
 * instance a token of its own. An instance that has joined with this token before
 * (the reply was lost, or what it kept) is not counted again: its own token goes on
 * under the same id with another secret, unless it was revoked, so that who joins
 * every minute leaves no row each time. It has no other valid token after that.
 * @throws DomainError: the join token is spent, or what `register` refuses.
 */
export function join(
  register: Command<RegisterOutcome>,
  joinTokenId: string,
  own: OwnToken,
): Command<JoinOutcome> {
  return (context) => {
    const joinToken = context.catalog.token(joinTokenId);
    if (!joinToken) throw new Error("a join token that let a call in is gone");
    const { commit, outcome } = register(context);
    if (!commit) throw new Error("a Register commits always");
    const { instanceId, spec } = outcome.service;
    const earlier = context.catalog
      .tokensOf(instanceId)
      .filter(({ joinedWith }) => joinedWith === joinTokenId);
    const counted = earlier.length > 0 ? [] : [countUse(joinToken)];
    const kept = earlier.find(({ revokedAt }) => revokedAt === undefined);
    const id = kept?.id ?? own.id;
    const token: TokenRecord = {
      ...(kept ?? newToken(context)),
      id,
      hash: own.hashFor(id),
      name: `${spec.name} (joined with ${joinToken.name})`,
      instanceId,
      joinedWith: joinTokenId,
    };
    const revoked = revokedTokensOf(instanceId, context).filter((other) => other.id !== id);
    return {
      commit: withTokens(commit, [...counted, token, ...revoked]),
      outcome: { ...outcome, ownTokenId: id },
    };
  };
}

function newToken({ at }: DecisionContext): Omit<TokenRecord, "id" | "hash" | "name"> {
  return { ...PLAIN_TOKEN, scopes: ["register"], createdAt: at };
}

/** @throws DomainError if it was used as often as it may be. */
function countUse(token: TokenRecord): TokenRecord {
  if (token.maxUses > 0 && token.uses >= token.maxUses)
    throw new DomainError(
      `this join token was for ${token.maxUses} instances, which have all joined: make another`,
      { kind: "denied", reason: "JOIN_TOKEN_SPENT" },
    );
  return { ...token, uses: token.uses + 1 };
}
