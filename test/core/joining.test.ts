import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { join } from "../../src/core/joining.js";
import { deregister, type RegisterRequest, register } from "../../src/core/registration.js";
import type { TokenRecord } from "../../src/core/token.js";
import { createToken, revokeToken } from "../../src/core/token-command.js";
import { Decisions, hashOf, refusalOf, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
/** Secrets so far: each join brings a new one, and an id. */
let secrets: number;
beforeEach(() => {
  decisions = new Decisions();
  secrets = 0;
  makeJoinToken("join", 2);
});

function makeJoinToken(id: string, maxUses: number): void {
  decisions.run(createToken({ id, name: `the ${id}`, scopes: ["join"], hash: id, maxUses }));
}

function doJoin(instanceId: string, change: Partial<RegisterRequest> = {}, joinToken = "join") {
  const n = ++secrets;
  const own = { id: `own-${n}`, hashFor: (id: string) => `hash of ${id} ${n}` };
  const secretHash = `secret of ${instanceId}`;
  const request = registerRequest({ instanceId, secretHash, tokenId: joinToken, ...change });
  return decisions.run(join(register(request, hashOf, { maxServices: 100 }), joinToken, own));
}

const token = (id: string) => decisions.catalog.token(id) as TokenRecord;
/** Own tokens of an instance that are valid. */
const valid = (instanceId: string) =>
  decisions.catalog.tokensOf(instanceId).filter(({ revokedAt }) => revokedAt === undefined);
const leave = (instanceId: string) =>
  decisions.run(deregister({ instanceId, secretHash: `secret of ${instanceId}`, isAdmin: false }));

describe("joining", () => {
  it("is one commit: registration, entry, the use, and a token for this instance alone", () => {
    const before = decisions.commits.length;
    const { service, ownTokenId } = doJoin("i1");
    expect(decisions.commits.length).toBe(before + 1);
    expect(decisions.changes()).toEqual([
      "service put",
      "download-client put",
      "token put",
      "token put",
    ]);
    expect(service).toMatchObject({ instanceId: "i1", tokenId: "join" });
    expect(token("join").uses).toBe(1);
    expect(token(ownTokenId)).toMatchObject({
      name: "haul (joined with the join)",
      scopes: ["register"],
      instanceId: "i1",
      joinedWith: "join",
      hash: `hash of ${ownTokenId} 1`,
      maxUses: 0,
    });
  });

  it("again gives another secret to the same token, and counts no use, also once it is spent", () => {
    const first = doJoin("i1").ownTokenId;
    doJoin("i2");
    const hash = token(first).hash;
    expect(doJoin("i1").ownTokenId).toBe(first);
    expect(token(first).hash).not.toBe(hash);
    expect(valid("i1").map(({ id }) => id)).toEqual([first]);
    expect(token("join").uses).toBe(2);
  });

  it("with a spent token is denied to a new instance, and changes nothing", () => {
    doJoin("i1");
    doJoin("i2");
    const { revision } = decisions.catalog;
    expect(refusalOf(() => doJoin("i3"))).toEqual({ kind: "denied", reason: "JOIN_TOKEN_SPENT" });
    expect(decisions.catalog.revision).toBe(revision);
    expect(decisions.catalog.serviceByInstance("i3")).toBeUndefined();
    expect(decisions.catalog.tokensOf("i3")).toEqual([]);
  });

  it("in another's place counts no use", () => {
    doJoin("i1");
    expect(refusalOf(() => doJoin("i1", { secretHash: "stolen" }))).toEqual({
      kind: "denied",
      reason: "SECRET_MISMATCH",
    });
    expect(token("join").uses).toBe(1);
    expect(valid("i1")[0]?.hash).toBe("hash of own-1 1");
  });

  it("after the own token was revoked gives a new one: what was revoked stays so", () => {
    const first = doJoin("i1").ownTokenId;
    decisions.run(revokeToken(first, "admin"));
    const second = doJoin("i1").ownTokenId;
    expect(second).not.toBe(first);
    expect(token(first).revokedAt).toBeDefined();
    expect(valid("i1").map(({ id }) => id)).toEqual([second]);
    expect(token("join").uses).toBe(1);
  });

  it("with another join token counts there, and the own token of before ends", () => {
    makeJoinToken("other", 0);
    const first = doJoin("i1").ownTokenId;
    const second = doJoin("i1", {}, "other").ownTokenId;
    expect(valid("i1").map(({ id }) => id)).toEqual([second]);
    expect(token(first).revokedAt).toBeDefined();
    expect([token("join").uses, token("other").uses]).toEqual([1, 1]);
  });

  it("is not undone when the join token is revoked", () => {
    doJoin("i1");
    decisions.run(revokeToken("join", "admin"));
    expect(valid("i1")).toHaveLength(1);
  });
});

it("an instance's own token ends with its Deregister, in the same commit", () => {
  doJoin("i1");
  doJoin("i2");
  const before = decisions.commits.length;
  leave("i1");
  expect(decisions.commits.length).toBe(before + 1);
  expect([valid("i1").length, valid("i2").length]).toEqual([0, 1]);
});

it("whatever joins, comes again, leaves and is revoked: nobody joins more often than he may", () => {
  const step = fc.record({
    kind: fc.constantFrom("join", "join", "join", "leave", "revoke own", "revoke join"),
    instance: fc.integer({ min: 1, max: 6 }),
    joinToken: fc.constantFrom("a", "b"),
  });
  const bounds = { a: 1, b: 3 } as const;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      decisions = new Decisions();
      for (const [id, maxUses] of Object.entries(bounds)) makeJoinToken(id, maxUses);
      const joined = { a: new Set<string>(), b: new Set<string>() };
      for (const { kind, instance, joinToken } of steps) {
        const instanceId = `i${instance}`;
        const set = joined[joinToken as "a" | "b"];
        if (kind === "leave") leave(instanceId);
        else if (kind === "revoke join") decisions.run(revokeToken(joinToken, "admin"));
        else if (kind === "revoke own")
          for (const { id } of valid(instanceId)) decisions.run(revokeToken(id, "admin"));
        // The guard lets no revoked token through: see runFor.
        else if (token(joinToken).revokedAt === undefined) {
          const mayJoin = set.has(instanceId) || set.size < bounds[joinToken as "a" | "b"];
          try {
            doJoin(instanceId, {}, joinToken);
            set.add(instanceId);
            expect(mayJoin).toBe(true);
          } catch (error) {
            if (!(error instanceof DomainError)) throw error;
            expect(mayJoin).toBe(false);
          }
        }
        for (const [id, maxUses] of Object.entries(bounds)) {
          const { uses } = token(id);
          expect(uses).toBe(joined[id as "a" | "b"].size);
          expect(uses).toBeLessThanOrEqual(maxUses);
        }
        for (let n = 1; n <= 6; n++) expect(valid(`i${n}`).length).toBeLessThanOrEqual(1);
      }
    }),
  );
});
