import { beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import {
  countFailedAuthentications,
  type FailedAuthentications,
  type FailurePolicy,
} from "../../src/pulse/failed-authentications.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const POLICY: FailurePolicy = { burst: 3, perSecond: 1, maxAddresses: 2 };
const A = "192.0.2.1";
const B = "192.0.2.2";
const C = "192.0.2.3";

let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let failures: FailedAuthentications;
beforeEach(() => {
  clock = new ManualClock();
  log = recordingLog();
  failures = countFailedAuthentications(POLICY, clock, log);
});

/** How many of `count` failures are let pass. */
function passed(address: string, count: number): number {
  let passes = 0;
  for (let n = 0; n < count; n++) if (refusalOf(address) === undefined) passes++;
  return passes;
}

function refusalOf(address: string) {
  try {
    failures.spend(address);
    return undefined;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return error.refusal;
  }
}

describe("an address", () => {
  it("may fail so often at once, then so often in each second, and is told how long to wait", async () => {
    expect(passed(A, 10)).toBe(3);
    await clock.advance(250);
    expect(refusalOf(A)).toEqual({
      kind: "quota",
      reason: "TOO_MANY_FAILED_AUTHENTICATIONS",
      retryAfterMs: 750,
    });
    await clock.advance(750);
    expect(passed(A, 10)).toBe(1);
    await clock.advance(3_600_000);
    expect(passed(A, 10)).toBe(3);
  });

  it("does not answer for another one", () => {
    expect(passed(A, 10)).toBe(3);
    expect(passed(B, 10)).toBe(3);
  });

  it("of IPv6 answers for its whole /64", () => {
    expect(passed("2001:db8::1", 2)).toBe(2);
    expect(passed("2001:db8::2", 2)).toBe(1);
    expect(passed("2001:db8:0:1::1", 2)).toBe(2);
  });

  it("gets back what was no failure, and never more than it had", () => {
    expect(passed(A, 3)).toBe(3);
    failures.refund(A);
    expect(passed(A, 2)).toBe(1);
    for (let n = 0; n < 10; n++) failures.refund(B);
    expect(passed(B, 10)).toBe(3);
    for (let n = 0; n < 10; n++) failures.refund(B);
    expect(passed(B, 10)).toBe(3);
  });
});

it("no more addresses are remembered than allowed: the one longest without a failure is forgotten", () => {
  expect(passed(A, 3)).toBe(3);
  expect(passed(B, 3)).toBe(3);
  expect(passed(A, 1)).toBe(0);
  expect(passed(C, 1)).toBe(1); // in the place of B
  expect(passed(A, 1)).toBe(0);
  expect(passed(B, 1)).toBe(1);
});

it("one line of the log an address and minute says how many were refused", async () => {
  passed(A, 100);
  passed(B, 4);
  const line = (address: string, refused: number) => ({
    level: "warn",
    msg: "rpc.too_many_failed_authentications",
    fields: { address, refused },
  });
  expect(log.lines).toEqual([line(A, 1), line(B, 1)]);
  await clock.advance(59_000);
  passed(A, 100); // 3 of them pass
  expect(log.lines).toHaveLength(2);
  await clock.advance(1_000);
  passed(A, 100); // 1 of them passes
  expect(log.lines.slice(2)).toEqual([line(A, 96 + 97 + 1)]);
});
