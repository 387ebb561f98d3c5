import { isExpired, type TokenRecord } from "../core/token.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Registry } from "./registry.js";
import { expiredToken, invalidToken } from "./tokens.js";

/** So much later than its end, at most, a stream ends whose token has expired. */
const SWEEP_INTERVAL_MS = 250;

/** Streams that were opened with bearer tokens. */
export interface TokenStreams {
  end(error: unknown, isOf: (tokenId: string) => boolean): void;
}

export interface TokenEndsOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly streams: readonly TokenStreams[];
}

/**
 * Ends the streams whose token is valid no more: as the commit that revokes it, or
 * gives it another secret, is applied, whichever Pulse made it; and when it expires.
 */
export function startTokenEnds({ registry, clock, streams }: TokenEndsOptions): {
  stop(): void;
} {
  const { catalog } = registry;
  let sweptAt = clock.wallNow();
  /** When the next token expires; Infinity: none does. */
  let nextAt = nextEnd(catalog.tokens(), sweptAt);

  registry.onCommit(({ tokens }, changes) => {
    const ended = new Set<string>();
    for (const { id, revokedAt } of tokens) if (revokedAt !== undefined) ended.add(id);
    for (const { subject, before, after } of changes)
      if (subject === "token" && before && before.hash !== after?.hash) ended.add(before.id);
    nextAt = Math.min(nextAt, nextEnd(tokens, sweptAt));
    if (ended.size > 0) end(invalidToken(), (tokenId) => ended.has(tokenId));
  });

  registry.onReload(() => {
    end(invalidToken(), (tokenId) => catalog.token(tokenId)?.revokedAt !== undefined);
    end(invalidToken(), (tokenId) => !catalog.token(tokenId));
    sweep();
  });

  function sweep(): void {
    sweptAt = clock.wallNow();
    end(expiredToken(), (tokenId) => {
      const token = catalog.token(tokenId);
      return token !== undefined && isExpired(token, sweptAt);
    });
    nextAt = nextEnd(catalog.tokens(), sweptAt);
  }

  function end(error: unknown, isOf: (tokenId: string) => boolean): void {
    for (const some of streams) some.end(error, isOf);
  }

  // A wall clock may jump either way, which a timer for the next end would not notice.
  const sweeps = repeat(clock, SWEEP_INTERVAL_MS, () => {
    const at = clock.wallNow();
    if (at >= nextAt || at < sweptAt) sweep();
  });
  return { stop: () => sweeps.cancel() };
}

function nextEnd(tokens: Iterable<TokenRecord>, after: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { expiresAt = next } of tokens)
    if (expiresAt > after) next = Math.min(next, expiresAt);
  return next;
}
