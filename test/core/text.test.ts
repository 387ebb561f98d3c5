import { expect, it } from "vitest";
import type { FieldViolation } from "../../src/core/errors.js";
import { checkText } from "../../src/core/text.js";

it("a text that is wrong is named by its field and never repeated, for it may be a secret", () => {
  const violations: FieldViolation[] = [];
  for (const text of ["s3cret\u0001", "s3cret-s3cret"])
    checkText(violations, "instance_secret", text, { max: 9 });
  expect(violations.map(({ field }) => field)).toEqual(["instance_secret", "instance_secret"]);
  expect(JSON.stringify(violations)).not.toContain("s3cret");
});
