import pg from "pg";
import { describe, expect, it } from "vitest";
import { UnknownOutcomeError } from "../../src/store/postgres-dialect.js";
import { toOpenError, toUnavailable } from "../../src/store/postgres-errors.js";
import { StoreOpenError, StoreUnavailableError } from "../../src/store/store.js";

function serverError(code: string): Error {
  const error = new pg.DatabaseError("as the server says it", 0, "error");
  error.code = code;
  return error;
}

/** As Node makes it where a name has several addresses. */
function manyRefusals(): Error {
  const refusals = ["::1", "127.0.0.1"].map((host) => new Error(`connect ECONNREFUSED ${host}`));
  return Object.assign(new AggregateError(refusals), { code: "ECONNREFUSED" });
}

const withCode = (code: string) => Object.assign(new Error("as Node says it"), { code });

describe("an error of PostgreSQL, or on the way to it", () => {
  it.each<[Error, string]>([
    [serverError("53300"), "the server has run out of room or connections: as the server says it"],
    [serverError("57P01"), "the server ended the statement: as the server says it"],
    [serverError("40P01"), "another transaction was in the way: as the server says it"],
    [serverError("42P01"), "the tables are not there: as the server says it"],
    [serverError("55P03"), "another node holds the database: as the server says it"],
    [manyRefusals(), "there is no connection: ECONNREFUSED"],
    [withCode("SELF_SIGNED_CERT_IN_CHAIN"), "there is no connection: as Node says it"],
    [withCode("ERR_TLS_CERT_ALTNAME_INVALID"), "there is no connection: as Node says it"],
    [new Error("SASL: no password"), "the database refuses this user: SASL: no password"],
  ])("says in words what is wrong (%#)", (error, words) => {
    const unavailable = toUnavailable(error) as StoreUnavailableError;
    expect(unavailable).toBeInstanceOf(StoreUnavailableError);
    expect(unavailable.message).toBe(words);
    expect(unavailable.cause).toBe(error);
    expect(unavailable.isOutcomeUnknown).toBe(false);
    expect(toOpenError(error, "postgres://host/pulse")).toBeInstanceOf(StoreOpenError);
  });

  it("says so if nobody knows whether a commit was carried out", () => {
    const unavailable = toUnavailable(new UnknownOutcomeError("the connection broke"));
    expect(unavailable).toMatchObject({
      name: "StoreUnavailableError",
      isOutcomeUnknown: true,
    });
  });

  it.each([serverError("23503"), serverError("22P05"), new TypeError("a bug"), "no error at all"])(
    "stays what it is if it is ours (%#)",
    (error) => {
      expect(toUnavailable(error)).toBe(error);
      expect(toOpenError(error, "postgres://host/pulse")).toBe(error);
    },
  );
});
