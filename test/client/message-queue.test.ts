import { expect, it } from "vitest";
import { createMessageQueue } from "../../src/client/message-queue.js";

it("hands over what was pushed before and after reading began, in order, until its end", async () => {
  const queue = createMessageQueue<number>();
  queue.push(1);
  queue.push(2);
  const read: number[] = [];
  const done = (async () => {
    for await (const message of queue) read.push(message);
  })();
  await Promise.resolve();
  queue.push(3);
  await new Promise(setImmediate);
  queue.push(4);
  queue.end();
  queue.push(5);
  await done;
  expect(read).toEqual([1, 2, 3, 4]);
});

it("keeps nothing for a reader that has left", async () => {
  const queue = createMessageQueue<number>();
  queue.push(1);
  for await (const _ of queue) break;
  queue.push(2);
  expect(await queue[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
});
