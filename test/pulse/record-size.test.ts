import { expect, it } from "vitest";
import { sizeOf } from "../../src/pulse/record-size.js";
import { entryRecord, serviceRecord } from "../store/sample-records.js";

it.each<[object, number]>([
  [{}, 0],
  [{ a: "bc" }, 3],
  [{ a: 1, b: true, c: null, d: undefined, e: 7n }, 10],
  [{ list: ["ab", "c"] }, 4 + 1 + 2 + 1 + 1],
  [{ a: { b: { c: "d" } } }, 4],
])("%o has %d characters", (record, size) => {
  expect(sizeOf(record)).toBe(size);
});

it("the size of a record grows with all that it holds", () => {
  const apiKey = "x".repeat(4_096);
  expect(sizeOf(serviceRecord({ apiKey }))).toBe(
    sizeOf(serviceRecord()) + apiKey.length - serviceRecord().apiKey.length,
  );
  const settings = { deep: [{ down: "x".repeat(1_000) }] };
  expect(sizeOf(entryRecord({ settings }))).toBeGreaterThan(sizeOf(entryRecord()) + 1_000);
});

it("it is counted once for a record, which never changes", () => {
  let reads = 0;
  const record = {
    get text() {
      reads++;
      return "abc";
    },
  };
  expect([sizeOf(record), sizeOf(record)]).toEqual([7, 7]);
  expect(reads).toBe(1);
});
