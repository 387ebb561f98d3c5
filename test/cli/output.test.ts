import { describe, expect, test } from "vitest";
import { cell } from "../../src/cli/output.js";
import { usageSentence } from "../../src/cli/program.js";

test("text from elsewhere cannot move the cursor, break the line or turn the reading direction", () => {
  expect(cell("a\u001b[2Jb\nc\u202ed\u0000")).toBe("a\ufffd[2Jb\ufffdc\ufffdd\ufffd");
});

describe("a usage error", () => {
  test("is one sentence", () => {
    expect(usageSentence("error: unknown option '--tokn'\n(Did you mean --token?)\n")).toBe(
      "unknown option '--tokn' (Did you mean --token?)",
    );
  });

  test("repeats no secret that was typed where none belongs", () => {
    expect(usageSentence("error: unknown option '--token=abc'\n")).toBe("unknown option '--token'");
    expect(usageSentence("error: option '--url <url>' argument 'http://me:pw@h' is invalid.")).toBe(
      "option '--url <url>' argument 'http://[hidden]@h' is invalid",
    );
  });
});
