import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { failureOf, InvalidRequestError } from "../../src/client/failure.js";

it.each([
  [Code.Unavailable, "transient"],
  [Code.DeadlineExceeded, "transient"],
  [Code.ResourceExhausted, "transient"],
  [Code.Aborted, "transient"],
  [Code.Internal, "transient"],
  [Code.Unknown, "transient"],
  [Code.Canceled, "transient"],
  [Code.Unauthenticated, "refused"],
  [Code.PermissionDenied, "refused"],
  [Code.Unimplemented, "refused"],
  [Code.NotFound, "refused"],
  [Code.InvalidArgument, "invalid"],
])("code %i is %s", (code, kind) => {
  expect(failureOf(new ConnectError("x", code)).kind).toBe(kind);
});

it("an invalid request names every field and what to do about it", () => {
  const fieldViolations = [
    { field: "service.name", description: "is empty" },
    { field: "requested_ttl", description: "must be from 5 s to 300 s" },
  ];
  const detail = { desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) };
  const { error } = failureOf(new ConnectError("bad", Code.InvalidArgument, undefined, [detail]));
  expect(error).toBeInstanceOf(InvalidRequestError);
  expect(error.message).toBe(
    "Pulse refuses the request as invalid: service.name: is empty; requested_ttl: must be from 5 s to 300 s",
  );
  expect(error).toMatchObject({ fields: ["service.name", "requested_ttl"] });
});

it.each([
  [5_000, 5_000],
  [86_400_000, 300_000],
  [-1_000, 0],
])("a RetryInfo of %i ms is a floor of %i ms", (askedMs, floorMs) => {
  const retryDelay = durationFromMs(askedMs);
  const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
  const error = new ConnectError("busy", Code.Unavailable, undefined, [detail]);
  expect(failureOf(error)).toMatchObject({ kind: "transient", floorMs });
});

it.each([
  ["DRAINING", "pulse", "node"],
  ["STORE_UNAVAILABLE", "pulse", "pulse"],
  ["DRAINING", "someone.else", "pulse"],
])("a floor with reason %s of %s is that of the %s", (reason, domain, floorOf) => {
  const details = [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain }) },
    {
      desc: RetryInfoSchema,
      value: create(RetryInfoSchema, { retryDelay: durationFromMs(1_000) }),
    },
  ];
  const error = new ConnectError("x", Code.Unavailable, undefined, details);
  expect(failureOf(error)).toMatchObject({ kind: "transient", floorMs: 1_000, floorOf });
});
