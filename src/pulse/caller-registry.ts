import type { HandlerContext } from "@connectrpc/connect";
import type { Command } from "../core/decision.js";
import { actorOf, confirmCaller } from "./authenticate.js";
import type { Registry } from "./registry.js";

// A call is let in by what this node knows. Another may have revoked its token a
// moment ago: so it is looked at again as soon as this node knows no less than
// anybody did when the call came.

/** As `registry.run`, for the caller. @throws DomainError also if the caller's token was revoked before this is decided. */
export function runFor<Outcome>(
  context: HandlerContext,
  registry: Registry,
  command: Command<Outcome>,
  holdingOf?: string,
): Promise<Outcome> {
  const confirmed: Command<Outcome> = (decision) => {
    confirmCaller(context, (id) => decision.catalog.token(id));
    return command(decision);
  };
  return registry.run(confirmed, holdingOf, actorOf(context));
}

/** As `registry.freshen`. @throws DomainError if the caller's token turns out to be revoked. */
export async function freshenFor(context: HandlerContext, registry: Registry): Promise<boolean> {
  const isStale = await registry.freshen();
  confirmCaller(context, (id) => registry.catalog.token(id));
  return isStale;
}
