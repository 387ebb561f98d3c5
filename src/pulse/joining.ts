import type { Command, Decision } from "../core/decision.js";
import { join } from "../core/joining.js";
import type { RegisterOutcome } from "../core/registration.js";
import type { Random } from "../lib/random.js";
import type { Caller } from "./authenticate.js";
import { hashSecret, newTokenSecret } from "./tokens.js";

export interface JoiningOutcome extends RegisterOutcome {
  /** The instance's own token, if it got one by this; else empty. */
  readonly instanceToken: string;
}

/** A Register by its caller: with a join token it gives a token in return, whose secret is made here. */
export function withInstanceToken(
  register: Command<RegisterOutcome>,
  { scopes, tokenId }: Pick<Caller, "scopes" | "tokenId">,
  random: Random,
): Command<JoiningOutcome> {
  if (!scopes.includes("join")) return (context) => withToken(register(context), "");
  const { id, textFor } = newTokenSecret(random);
  const joining = join(register, tokenId, { id, hashFor: (ownId) => hashSecret(textFor(ownId)) });
  return (context) => {
    const decision = joining(context);
    return withToken(decision, textFor(decision.outcome.ownTokenId));
  };
}

function withToken(
  { commit, outcome }: Decision<RegisterOutcome>,
  instanceToken: string,
): Decision<JoiningOutcome> {
  return { commit, outcome: { ...outcome, instanceToken } };
}
