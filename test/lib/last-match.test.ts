import { expect, it } from "vitest";
import { forgetLastMatch } from "../../src/lib/last-match.js";

it("forgets a text that was matched", () => {
  const kept = () => (RegExp as unknown as { readonly input: string }).input;
  /secret/.test("a secret of somebody");
  expect(kept()).toBe("a secret of somebody");
  forgetLastMatch();
  expect(kept()).toBe("");
});
