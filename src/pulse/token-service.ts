import type { ServiceImpl } from "@connectrpc/connect";
import type { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { type FieldViolation, invalid, invalidField } from "../core/errors.js";
import { checkText, NAME_RULE } from "../core/text.js";
import { createToken, revokeToken } from "../core/token-command.js";
import type { Random } from "../lib/random.js";
import { callerOf } from "./authenticate.js";
import { freshenFor, runFor } from "./caller-registry.js";
import { readScope, tokenOf } from "./convert.js";
import type { ScopeTable } from "./guard.js";
import type { Registry } from "./registry.js";
import { newToken } from "./tokens.js";

export const TOKEN_SCOPES: ScopeTable<typeof TokenService> = {
  createToken: ["admin"],
  listTokens: ["admin"],
  revokeToken: ["admin"],
};

export function createTokenService(
  registry: Registry,
  random: Random,
): ServiceImpl<typeof TokenService> {
  return {
    async createToken(request, context) {
      const violations: FieldViolation[] = [];
      checkText(violations, "name", request.name, NAME_RULE);
      if (request.scopes.length === 0)
        violations.push({ field: "scopes", description: "must name at least one scope" });
      if (violations.length > 0) throw invalid(violations);
      const scopes = request.scopes.map((value, i) => readScope(value, `scopes[${i}]`));
      const { id, token, hash } = newToken(random);
      const record = await runFor(
        context,
        registry,
        createToken({ id, name: request.name, scopes: [...new Set(scopes)], hash }),
      );
      const { $typeName: _, ...known } = tokenOf(record);
      return {
        id,
        name: record.name,
        scopes: known.scopes,
        token,
        ...(known.createTime ? { createTime: known.createTime } : {}),
      };
    },

    async listTokens(_, context) {
      const stale = await freshenFor(context, registry);
      const tokens = [...registry.catalog.tokens()];
      tokens.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
      return { tokens: tokens.map(tokenOf), stale };
    },

    async revokeToken({ id }, context) {
      if (id === "") throw invalidField("id", "is required");
      const record = await runFor(context, registry, revokeToken(id, callerOf(context).tokenId));
      return { token: tokenOf(record) };
    },
  };
}
