import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DownloadClientOrder } from "../../gen/pulse/v1/download_client_service_pb.js";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { type ResolvedEntry, resolveEntry } from "../../src/core/entry.js";
import { type EntryOrder, orderKeys, readEntryOrder } from "../../src/pulse/entry-order.js";
import { manualRecord } from "../store/sample-records.js";

interface Listed {
  readonly name: string;
  readonly priority: number;
  /** Undefined: nothing was ever said of it. */
  readonly load?: MessageInitShape<typeof LoadSchema> | undefined;
}

function keyOf(order: EntryOrder, { name, priority, load }: Listed): string {
  const resolved = resolveEntry(manualRecord({ name, priority }), undefined) as ResolvedEntry;
  return orderKeys(order, () => load && create(LoadSchema, load))(resolved);
}

function sorted(order: EntryOrder, ...items: readonly Partial<Listed>[]): string[] {
  return items
    .map((item, i): Listed => ({ name: `n${i}`, priority: 50, ...item }))
    .map((item) => ({ name: item.name, key: keyOf(order, item) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ name }) => name);
}

describe("the order of a list", () => {
  it.each<[DownloadClientOrder, EntryOrder]>([
    [DownloadClientOrder.UNSPECIFIED, "name"],
    [DownloadClientOrder.NAME, "name"],
    [DownloadClientOrder.FREE_SPACE, "free-space"],
    [DownloadClientOrder.LOAD, "load"],
  ])("%s is by %s", (value, order) => expect(readEntryOrder(value, "order")).toBe(order));

  it("that is not known is refused, with those that are", () => {
    expect(() => readEntryOrder(9 as DownloadClientOrder, "order")).toThrow(
      "order: has no value 9; use one of name, free-space, load",
    );
  });

  it("by name looks at nothing else", () => {
    const busy = { priority: 1, load: { freeBytes: 9n } };
    expect(sorted("name", { name: "b", ...busy }, { name: "a" }, { name: "B" })).toEqual([
      "B",
      "a",
      "b",
    ]);
  });

  it("by free space has the most first, and what is not known last, though none is less", () => {
    const free = (freeBytes: bigint) => ({ load: { freeBytes } });
    expect(
      sorted("free-space", {}, free(0n), free(99n), free(100n), free(2n ** 64n - 1n), { load: {} }),
    ).toEqual(["n4", "n3", "n2", "n1", "n0", "n5"]);
  });

  it("by load has the fewest downloads first, then the least that comes in, unknown last", () => {
    const load = (active: number, queued: number, rate?: bigint) => ({
      load: { active, queued, ...(rate !== undefined && { downloadBytesPerSecond: rate }) },
    });
    const most = 2 ** 32 - 1;
    expect(
      sorted(
        "load",
        load(most, most, 0n),
        load(3, 0),
        load(1, 2, 1_000n),
        load(2, 1, 5n),
        load(0, 10, 0n),
        load(0, 0, 2n ** 64n - 1n),
        { load: { active: 0 } },
        { load: { queued: 0 } },
        {},
      ),
    ).toEqual(["n5", "n3", "n2", "n1", "n4", "n0", "n6", "n7", "n8"]);
  });

  it("has those that are alike by priority, then by name", () => {
    const load = { freeBytes: 5n, active: 1, queued: 0, downloadBytesPerSecond: 7n };
    for (const order of ["free-space", "load"] as const)
      for (const same of [{ load }, {}])
        expect(
          sorted(
            order,
            { name: "b", priority: 9, ...same },
            { name: "a", priority: 100, ...same },
            { name: "c", priority: 9, ...same },
          ),
        ).toEqual(["b", "c", "a"]);
  });
});

it("of one list, an entry's place stays, though its load changes meanwhile", () => {
  let freeBytes = 1n;
  const keyOf = orderKeys("free-space", () => create(LoadSchema, { freeBytes }));
  const resolved = resolveEntry(manualRecord(), undefined) as ResolvedEntry;
  const key = keyOf(resolved);
  freeBytes = 2n;
  expect(keyOf(resolved)).toBe(key);
});

describe("of any loads", () => {
  const listed = fc.record({
    name: fc.string({ minLength: 1, maxLength: 3 }),
    priority: fc.integer({ min: 1, max: 100 }),
    load: fc.option(
      fc.record(
        {
          freeBytes: fc.oneof(
            fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
            fc.bigInt({ min: 0n, max: 9n }),
          ),
          active: fc.nat(3),
          queued: fc.nat(3),
          downloadBytesPerSecond: fc.bigInt({ min: 0n, max: 20n }),
        },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
  });
  type Rank = readonly (number | bigint)[];
  /** What the keys should say, in numbers: the earlier is less. */
  const ranks: Readonly<Record<"free-space" | "load", (item: Listed) => Rank>> = {
    "free-space": ({ load }) => (load?.freeBytes === undefined ? [1, 0] : [0, -load.freeBytes]),
    load: ({ load: { active, queued, downloadBytesPerSecond: rate } = {} }) =>
      active === undefined || queued === undefined
        ? [Infinity, 0]
        : [active + queued, rate ?? Infinity],
  };

  it.each(["free-space", "load"] as const)("keys by %s order as the numbers do", (order) => {
    fc.assert(
      fc.property(listed, listed, (a, b) => {
        const [left, right]: Rank[] = [a, b].map((each) => [...ranks[order](each), each.priority]);
        const at = left?.findIndex((number, i) => number !== right?.[i]) ?? -1;
        const isLess = at < 0 ? a.name < b.name : (left?.[at] ?? 0) < (right?.[at] ?? 0);
        expect(keyOf(order, a) < keyOf(order, b)).toBe(isLess);
      }),
    );
  });
});
