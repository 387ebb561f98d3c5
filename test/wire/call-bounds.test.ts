import { beforeEach, describe, expect, it } from "vitest";
import { type CallBounds, createCallBounds } from "../../src/wire/call-bounds.js";
import { ManualClock } from "../support/manual-clock.js";

const LIMITS = {
  maxCalls: 5,
  maxCallsPerAddress: 3,
  maxHeldBytes: 1_000,
  maxHeldBytesPerAddress: 600,
  requestTimeoutMs: 60_000,
};
const A = "192.0.2.1";
const B = "192.0.2.2";
const C = "192.0.2.3";

let clock: ManualClock;
let bounds: CallBounds;
let dropped: string[];
beforeEach(() => {
  clock = new ManualClock();
  bounds = createCallBounds(LIMITS, clock);
  dropped = [];
});

function begin(address: string, name = address) {
  return bounds.begin(address, () => dropped.push(name));
}

function begun(address: string, name?: string) {
  const call = begin(address, name);
  if (!call) throw new Error("too many");
  return call;
}

describe("calls at a time", () => {
  it("are bounded for each address, IPv6 by /64, and for all", () => {
    const first = begun(A);
    begun(A);
    begun(A);
    expect(begin(A)).toBeUndefined();
    begun(B);
    begun("2001:db8::1");
    expect(begin(C)).toBeUndefined();
    first.end();
    begun("2001:db8::2");
    expect(begin(A)).toBeUndefined(); // there are 5 again
    expect(dropped).toEqual([]);
  });

  it("that end twice are counted once", () => {
    const call = begun(A);
    begun(A);
    call.end();
    call.end();
    begun(A);
    begun(A);
    expect(begin(A)).toBeUndefined();
  });
});

describe("bytes of messages that are not whole", () => {
  it("are bounded for each address: the call that goes past it is dropped, and has given back what it held", () => {
    const large = begun(A, "large");
    const small = begun(A, "small");
    large.hold(500);
    small.hold(100);
    expect(dropped).toEqual([]);
    large.hold(1);
    expect(dropped).toEqual(["large"]);
    small.hold(500);
    expect(dropped).toEqual(["large"]);
    large.hold(1_000_000); // what still comes is nobody's
    large.release();
    large.end();
    begun(A);
    begun(A);
    expect(begin(A)).toBeUndefined();
  });

  it("are bounded for all addresses together", () => {
    begun(A, "A").hold(500);
    begun(B, "B").hold(500);
    begun(C, "C").hold(1);
    expect(dropped).toEqual(["C"]);
  });

  it("are given back with each message that is whole", () => {
    const call = begun(A);
    for (let n = 0; n < 10; n++) {
      call.hold(400);
      call.hold(100);
      call.release();
    }
    expect(dropped).toEqual([]);
  });
});

describe("a message", () => {
  it("that is not whole in time ends its call, or up to a quarter later", async () => {
    begun(A, "never sent");
    const half = begun(A, "half");
    half.hold(1);
    await clock.advance(59_000);
    half.hold(1); // slowly is not enough
    expect(dropped).toEqual([]);
    await clock.advance(16_001);
    expect(dropped).toEqual(["never sent", "half"]);
    begun(A);
    begun(A);
    begun(A);
  });

  it("has its time from its own begin, and a call that waits for none has all the time", async () => {
    const call = begun(A, "stream");
    call.release();
    await clock.advance(3_600_000);
    call.hold(1);
    await clock.advance(59_000);
    call.release();
    call.hold(1);
    await clock.advance(59_000);
    expect(dropped).toEqual([]);
    await clock.advance(17_000);
    expect(dropped).toEqual(["stream"]);
  });
});
