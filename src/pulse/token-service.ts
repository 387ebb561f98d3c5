import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { CreateTokenRequest, TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { collect, type FieldViolation, invalid, invalidField } from "../core/errors.js";
import { checkText, NAME_RULE } from "../core/text.js";
import { MAX_JOINS, type TokenRecord } from "../core/token.js";
import { createToken, revokeToken } from "../core/token-command.js";
import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import { callerOf } from "./authenticate.js";
import { freshenFor, runFor } from "./caller-registry.js";
import { readScope, tokenOf } from "./convert.js";
import type { ScopeTable } from "./guard.js";
import type { Registry } from "./registry.js";
import type { TokenUses } from "./token-uses.js";
import { newToken } from "./tokens.js";

export const TOKEN_SCOPES: ScopeTable<typeof TokenService> = {
  createToken: ["admin"],
  listTokens: ["admin"],
  revokeToken: ["admin"],
};

export interface TokenServiceOptions {
  readonly registry: Registry;
  readonly uses: Pick<TokenUses, "all">;
  readonly clock: Clock;
  readonly random: Random;
}

export function createTokenService({
  registry,
  uses,
  clock,
  random,
}: TokenServiceOptions): ServiceImpl<typeof TokenService> {
  return {
    async createToken(request, context) {
      const wanted = checkCreateToken(request, clock.wallNow());
      const { id, token, hash } = newToken(random);
      const record = await runFor(context, registry, createToken({ ...wanted, id, hash }));
      const { name, scopes, createTime, expireTime, maxUses } = tokenOf(record);
      return {
        id,
        name,
        scopes,
        token,
        ...(createTime ? { createTime } : {}),
        ...(expireTime ? { expireTime } : {}),
        maxUses,
      };
    },

    async listTokens(_, context) {
      const stale = await freshenFor(context, registry);
      const usedAt = await uses.all();
      const tokens = [...registry.catalog.tokens()];
      tokens.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
      return { tokens: tokens.map((token) => tokenOf(token, usedAt.get(token.id))), stale };
    },

    async revokeToken({ id }, context) {
      if (id === "") throw invalidField("id", "is required");
      const record = await runFor(context, registry, revokeToken(id, callerOf(context).tokenId));
      return { token: tokenOf(record, (await uses.all()).get(id)) };
    },
  };
}

/** The end of the year 9999: a later one cannot be told in JSON. */
const LAST_TIMESTAMP_MS = 253_402_300_799_999;

/** @throws DomainError of kind `invalid` with every field that is wrong. */
function checkCreateToken(
  request: CreateTokenRequest,
  at: number,
): Pick<TokenRecord, "name" | "scopes" | "expiresAt" | "maxUses"> {
  const { name, maxUses } = request;
  const violations: FieldViolation[] = [];
  checkText(violations, "name", name, NAME_RULE);
  if (request.scopes.length === 0)
    violations.push({ field: "scopes", description: "must name at least one scope" });
  const read = request.scopes.map((value, i) =>
    collect(violations, () => readScope(value, `scopes[${i}]`)),
  );
  const scopes = [...new Set(read.filter((scope) => scope !== undefined))];
  const expiresAt = request.expireTime && timestampMs(request.expireTime);
  if (expiresAt !== undefined && !(expiresAt > at && expiresAt <= LAST_TIMESTAMP_MS))
    violations.push({
      field: "expire_time",
      description: "must be in the future, and before the year 10000",
    });
  if (scopes.includes("join")) {
    if (scopes.length > 1)
      violations.push({ field: "scopes", description: "join cannot go with another scope" });
    if (maxUses === 0 && expiresAt === undefined)
      violations.push({
        field: "max_uses",
        description: "a join token needs max_uses, expire_time, or both: it must come to an end",
      });
    if (maxUses > MAX_JOINS)
      violations.push({ field: "max_uses", description: `must be from 1 to ${MAX_JOINS}` });
  } else if (maxUses > 0)
    violations.push({ field: "max_uses", description: "goes with scope join alone: leave it out" });
  if (violations.length > 0) throw invalid(violations);
  return { name, scopes, expiresAt, maxUses };
}
