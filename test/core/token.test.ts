import { expect, it } from "vitest";
import { allows, SCOPES } from "../../src/core/token.js";

it("a token passes with any one of the scopes that a call names", () => {
  expect(allows(["observe"], ["observe", "discover"])).toBe(true);
  expect(allows(["register", "discover"], ["observe", "discover"])).toBe(true);
  expect(allows(["register"], ["observe", "discover"])).toBe(false);
  expect(allows([], ["observe"])).toBe(false);
});

it("an admin may do everything, and nobody else what only an admin may", () => {
  for (const scope of SCOPES) expect(allows(["admin"], [scope])).toBe(true);
  expect(allows(["register", "discover", "observe"], ["admin"])).toBe(false);
});
