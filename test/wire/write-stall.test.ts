import { Writable } from "node:stream";
import { expect, it } from "vitest";
import { createStallWatch } from "../../src/wire/write-stall.js";
import { ManualClock, settle } from "../support/manual-clock.js";

const STALL_MS = 40_000;

/** Something that sends to a peer which takes a write only when it is told to. */
class Sender extends Writable {
  written = 0;
  #onTaken: (() => void) | undefined;

  send(bytes: number): void {
    this.written += bytes;
    this.write(Buffer.alloc(bytes));
  }

  take(): void {
    this.#onTaken?.();
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#onTaken = done;
  }
}

function startWatch() {
  const clock = new ManualClock();
  const stalled: Sender[] = [];
  const watch = createStallWatch<Sender>({
    clock,
    stallMs: STALL_MS,
    writtenBytes: ({ written }) => written,
    onStall: (sender) => stalled.push(sender),
  });
  const open = () => {
    const sender = new Sender();
    watch.add(sender);
    return sender;
  };
  return { clock, stalled, open };
}

it("a peer that takes nothing of what waits is found, once, not before its time and not much later", async () => {
  const { clock, stalled, open } = startWatch();
  const sender = open();
  await clock.advance(STALL_MS);
  sender.send(100);
  await clock.advance(STALL_MS - 1);
  expect(stalled).toEqual([]);
  await clock.advance(STALL_MS / 4 + 1);
  expect(stalled).toEqual([sender]);
  await clock.advance(10 * STALL_MS);
  expect(stalled).toEqual([sender]);
});

it("a peer for which nothing waits may be silent for ever", async () => {
  const { clock, stalled, open } = startWatch();
  const sender = open();
  sender.send(100);
  await clock.advance(STALL_MS / 2);
  sender.take();
  await clock.advance(10 * STALL_MS);
  sender.send(100); // what it was before does not count
  await clock.advance(STALL_MS - 1);
  expect(stalled).toEqual([]);
});

it("a peer that takes one message after the other is served, though the same number of bytes always waits", async () => {
  const { clock, stalled, open } = startWatch();
  const sender = open();
  sender.send(100);
  for (let i = 0; i < 20; i++) {
    sender.send(100);
    sender.take();
    await clock.advance(STALL_MS * 0.7);
    expect(sender.writableLength).toBe(100);
  }
  expect(stalled).toEqual([]);
});

it("a large message gets that time for each MiB, since Node does not tell how far it is", async () => {
  const { clock, stalled, open } = startWatch();
  open().send(2.5 * 1_024 * 1_024);
  await clock.advance(3 * STALL_MS - 1);
  expect(stalled).toEqual([]);
  await clock.advance(STALL_MS / 4 + 1);
  expect(stalled).toHaveLength(1);
});

it("time in which this process stood still is no peer's fault", async () => {
  const { clock, stalled, open } = startWatch();
  open().send(100);
  await clock.advance(STALL_MS / 2);
  clock.stall(10 * STALL_MS);
  await clock.advance(STALL_MS / 4);
  expect(stalled).toEqual([]);
});

it("a sender that is closed is forgotten, and with the last one the timer goes", async () => {
  const { clock, stalled, open } = startWatch();
  const [first, second] = [open(), open()];
  first.send(100);
  first.destroy();
  await settle();
  await clock.advance(10 * STALL_MS);
  expect(stalled).toEqual([]);
  expect(clock.pending).toBe(1);
  second.destroy();
  await settle();
  await clock.advance(STALL_MS);
  expect(clock.pending).toBe(0);
});
