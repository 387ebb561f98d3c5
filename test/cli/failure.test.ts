import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { CommandError, callFailure, failureSentence, UsageError } from "../../src/cli/failure.js";

function sentence(text: string, code: Code, reason?: string): string {
  const details = reason
    ? [{ desc: ErrorInfoSchema, value: { domain: "pulse", reason } }]
    : undefined;
  const error = new ConnectError(text, code, undefined, details);
  return callFailure(error, "http://nas:9696", "PULSE_TOKEN").message;
}

describe("a failed call says what to do", () => {
  test("when nobody answers", () => {
    expect(sentence("connect ECONNREFUSED", Code.Unavailable)).toBe(
      'Pulse at http://nas:9696 does not answer (connect ECONNREFUSED); start it with "pulse serve", or give its address with --pulse',
    );
  });

  test("when Pulse answers that it cannot", () => {
    expect(sentence("Pulse is stopping", Code.Unavailable, "DRAINING")).toBe(
      "Pulse at http://nas:9696 cannot do this now: Pulse is stopping; try again in a moment",
    );
  });

  test("when the token is bad, and where it came from", () => {
    expect(sentence("unknown token", Code.Unauthenticated, "TOKEN_INVALID")).toMatch(
      /does not accept the token from PULSE_TOKEN \(unknown token\); use one that/,
    );
  });

  test("when the token may not", () => {
    expect(sentence("needs admin", Code.PermissionDenied, "SCOPE_MISSING")).toMatch(
      /does not allow this with the token from PULSE_TOKEN: needs admin$/,
    );
  });

  test("when the request is wrong, in Pulse's own words", () => {
    expect(sentence("name: is required", Code.InvalidArgument)).toBe("name: is required");
  });

  test("when a name is taken or somebody else was faster, in Pulse's own words", () => {
    expect(sentence("name: is taken", Code.AlreadyExists)).toBe("name: is taken");
    expect(sentence("etag: is stale", Code.Aborted)).toBe("etag: is stale");
  });

  test("and what a command has said itself stays as it is", () => {
    for (const error of [new CommandError("no such client"), new UsageError("give one")])
      expect(callFailure(error, "http://nas:9696", "PULSE_TOKEN")).toBe(error);
  });

  test("when something else listens there", () => {
    expect(sentence("HTTP 404", Code.Unimplemented)).toContain("is not a Pulse");
  });
});

test("any error becomes one line without its stack", () => {
  expect(failureSentence(new Error("one\n  two"))).toBe("one two");
  expect(failureSentence(Object.assign(new Error(""), { code: "ECONNREFUSED" }))).toBe(
    "ECONNREFUSED",
  );
  expect(failureSentence("text")).toBe("text");
});
