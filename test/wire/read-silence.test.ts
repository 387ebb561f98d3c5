import { expect, it } from "vitest";
import { createSilenceWatch } from "../../src/wire/read-silence.js";
import { ManualClock } from "../support/manual-clock.js";

const PING_AFTER_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
const LOOK_MS = PING_TIMEOUT_MS / 4;

class Peer {
  read = 100;
  /** As if the network could take no more than this. */
  taken: number | undefined;
  isOver = false;
  pings = 0;
  isGone = false;

  /** Whatever it says. */
  say(): void {
    this.read += 17;
  }
}

function startWatch() {
  const clock = new ManualClock();
  const watch = createSilenceWatch<Peer>({
    clock,
    pingAfterMs: PING_AFTER_MS,
    pingTimeoutMs: PING_TIMEOUT_MS,
    isOver: (peer) => peer.isOver,
    readBytes: (peer) => peer.read,
    takenBytes: (peer) => peer.taken,
    ping: (peer) => {
      peer.pings += 1;
    },
    onSilence: (peer) => {
      expect(peer.isGone).toBe(false);
      peer.isGone = true;
    },
  });
  const open = () => {
    const peer = new Peer();
    watch.add(peer);
    return peer;
  };
  return { clock, open };
}

it.each([0, 1, LOOK_MS - 1, LOOK_MS])(
  "a peer that falls silent %i ms after a look is asked once and then gone, not before its time and not much later",
  (sinceLookMs) => {
    const { clock, open } = startWatch();
    const peer = open();
    clock.advanceSync(LOOK_MS + sinceLookMs);
    peer.say();
    clock.advanceSync(PING_AFTER_MS - 1);
    expect(peer).toMatchObject({ pings: 0, isGone: false });
    clock.advanceSync(LOOK_MS + 1);
    expect(peer).toMatchObject({ pings: 1, isGone: false });
    clock.advanceSync(PING_TIMEOUT_MS - LOOK_MS - 1);
    expect(peer.isGone).toBe(false);
    clock.advanceSync(LOOK_MS + 1);
    expect(peer).toMatchObject({ pings: 1, isGone: true });
    clock.advanceSync(10 * PING_AFTER_MS); // and is told of once
  },
);

it("a new peer has all its time, though the next look comes at once", () => {
  const { clock, open } = startWatch();
  open();
  clock.advanceSync(LOOK_MS - 1);
  const peer = open();
  clock.advanceSync(PING_AFTER_MS - 1);
  expect(peer.pings).toBe(0);
});

it("a peer that talks is never asked", () => {
  const { clock, open } = startWatch();
  const peer = open();
  for (let i = 0; i < 100; i++) {
    clock.advanceSync(PING_AFTER_MS - 1);
    peer.say();
  }
  expect(peer.pings).toBe(0);
});

it("a peer that answers lives for ever, and is asked again each time", () => {
  const { clock, open } = startWatch();
  const peer = open();
  for (let round = 1; round <= 10; round++) {
    clock.advanceSync(PING_AFTER_MS + LOOK_MS);
    expect(peer.pings).toBe(round);
    clock.advanceSync(PING_TIMEOUT_MS - LOOK_MS - 1);
    peer.say();
  }
  expect(peer.isGone).toBe(false);
});

it("a peer that takes what waits for it lives, though nothing is heard of it, until it stops", () => {
  const { clock, open } = startWatch();
  const peer = open();
  peer.taken = 0;
  for (let i = 0; i < 50; i++) {
    clock.advanceSync(PING_TIMEOUT_MS);
    peer.taken += 1;
  }
  expect(peer).toMatchObject({ pings: 0, isGone: false });
  peer.taken = undefined; // the network has it all
  clock.advanceSync(PING_AFTER_MS + LOOK_MS);
  expect(peer).toMatchObject({ pings: 1, isGone: false });
  peer.taken = 60; // and that is no sign of life: the network may hold much
  clock.advanceSync(PING_TIMEOUT_MS);
  expect(peer.isGone).toBe(true);
});

it("a look that comes late, since this process stood still, counts for nobody", () => {
  const { clock, open } = startWatch();
  const [answering, gone] = [open(), open()];
  clock.advanceSync(PING_AFTER_MS + PING_TIMEOUT_MS);
  expect([answering.pings, gone.pings]).toEqual([1, 1]); // the next look would be the last
  clock.stall(10 * 60_000);
  clock.advanceSync(0);
  expect([answering.isGone, gone.isGone]).toEqual([false, false]);
  answering.say(); // it had long ago, and is read now
  clock.advanceSync(LOOK_MS);
  expect([answering.isGone, gone.isGone]).toEqual([false, true]);
});

it("a process that stands still again and again is patient, and still finds who is gone", () => {
  const { clock, open } = startWatch();
  const peer = open();
  for (let i = 0; i < 20; i++) {
    clock.stall(60_000);
    clock.advanceSync(0);
    expect(peer.pings).toBe(0);
  }
  clock.advanceSync(PING_AFTER_MS + LOOK_MS);
  expect(peer.pings).toBe(1);
  clock.advanceSync(PING_TIMEOUT_MS);
  expect(peer.isGone).toBe(true);
});

it("a peer that is over is neither asked nor judged, even if it was asked before", () => {
  const { clock, open } = startWatch();
  const [before, after] = [open(), open()];
  before.isOver = true;
  clock.advanceSync(PING_AFTER_MS + LOOK_MS);
  after.isOver = true;
  clock.advanceSync(10 * PING_TIMEOUT_MS);
  expect(before).toMatchObject({ pings: 0, isGone: false });
  expect(after).toMatchObject({ pings: 1, isGone: false });
});

it("with the last peer the timer goes, and comes with the next one", () => {
  const { clock, open } = startWatch();
  const [first, second] = [open(), open()];
  first.isOver = true;
  clock.advanceSync(LOOK_MS);
  expect(clock.pending).toBe(1);
  second.isOver = true;
  clock.advanceSync(LOOK_MS);
  expect(clock.pending).toBe(0);
  clock.advanceSync(60_000);
  const third = open();
  clock.advanceSync(PING_AFTER_MS + LOOK_MS);
  expect(third.pings).toBe(1);
});
