import { expect, it } from "vitest";
import { deferResponses } from "../../src/pulse/deferred-responses.js";

/** A stream of two, which says whether it was left. */
function stream() {
  const state = { opened: 0, isLeft: false };
  async function* responses() {
    try {
      yield "one";
      yield "two";
    } finally {
      state.isLeft = true;
    }
  }
  const open = async () => {
    state.opened++;
    return responses();
  };
  return { state, open };
}

it("a stream is opened when its first response is asked for, once", async () => {
  const { state, open } = stream();
  const iterator = deferResponses(open)[Symbol.asyncIterator]();
  expect(state.opened).toBe(0);
  const both = await Promise.all([iterator.next(), iterator.next()]);
  expect(both.map(({ value }) => value)).toEqual(["one", "two"]);
  expect((await iterator.next()).done).toBe(true);
  expect(state.opened).toBe(1);
});

it("a stream that is left before it was opened never is", async () => {
  const { state, open } = stream();
  const iterator = deferResponses(open)[Symbol.asyncIterator]();
  expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
  expect((await iterator.next()).done).toBe(true);
  expect(state.opened).toBe(0);
});

it("a stream that is left while it opens is not left open", async () => {
  const { state, open } = stream();
  const iterator = deferResponses(open)[Symbol.asyncIterator]();
  const first = iterator.next();
  await iterator.return?.();
  await first;
  expect(state.isLeft).toBe(true);
});

it("what fails at the opening fails the first response, and leaving is no failure", async () => {
  const iterator = deferResponses<string>(() => Promise.reject(new Error("away")))[
    Symbol.asyncIterator
  ]();
  await expect(iterator.next()).rejects.toThrow("away");
  expect((await iterator.return?.())?.done).toBe(true);
});
