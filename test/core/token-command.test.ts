import { beforeEach, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { PLAIN_TOKEN } from "../../src/core/token.js";
import { createToken, revokeToken } from "../../src/core/token-command.js";
import { Decisions } from "../support/decisions.js";

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
  for (const id of ["one", "two"])
    decisions.run(createToken({ id, name: id, scopes: ["observe"], hash: `hash of ${id}` }));
});

function refusalOf(id: string, callerTokenId: string) {
  try {
    decisions.run(revokeToken(id, callerTokenId));
  } catch (error) {
    if (error instanceof DomainError) return error.refusal;
    throw error;
  }
  throw new Error("nothing was refused");
}

it("a new token is a commit of its own, with nothing of it but the hash", () => {
  expect(decisions.commits[0]).toMatchObject({
    revision: 1n,
    reason: "token created",
    changes: [{ subject: "token", subjectId: "one", type: "put" }],
    services: [],
    entries: [],
  });
  expect(decisions.catalog.token("one")).toEqual({
    ...PLAIN_TOKEN,
    id: "one",
    name: "one",
    scopes: ["observe"],
    hash: "hash of one",
    createdAt: 1_000,
  });
});

it("a revoked token stays known, with the moment it was revoked at first", () => {
  decisions.at = 2_000;
  expect(decisions.run(revokeToken("one", "two")).revokedAt).toBe(2_000);
  expect(decisions.commits.at(-1)?.reason).toBe("token revoked");
  decisions.at = 3_000;
  expect(decisions.run(revokeToken("one", "two")).revokedAt).toBe(2_000);
  expect(decisions.commits).toHaveLength(3);
  expect(decisions.catalog.token("one")).toMatchObject({ hash: "hash of one", revokedAt: 2_000 });
  expect(decisions.catalog.token("two")?.revokedAt).toBeUndefined();
});

it("a token cannot revoke itself, nor one that is not there, and nothing changes", () => {
  expect(refusalOf("one", "one")).toEqual({ kind: "precondition", reason: "TOKEN_IN_USE" });
  expect(refusalOf("three", "one")).toMatchObject({ kind: "not-found", id: "three" });
  expect(decisions.commits).toHaveLength(2);
});
