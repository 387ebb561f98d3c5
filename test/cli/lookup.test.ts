import { expect, test } from "vitest";
import { findItem } from "../../src/cli/lookup.js";

interface Item {
  readonly ids: readonly string[];
  readonly name: string;
}

const find = (items: readonly Item[], text: string) =>
  findItem(items, text, { what: "box", idsOf: ({ ids }) => ids, nameOf: ({ name }) => name });

const nas = { ids: ["1", "one"], name: "nas" };
const twin = { ids: ["2"], name: "nas" };
const sly = { ids: ["3"], name: "1" };

test("an item is found by any of its ids, or by its name", () => {
  expect(find([nas, sly], "one")).toBe(nas);
  expect(find([nas, sly], "nas")).toBe(nas);
});

test("an id goes before another's name", () => {
  expect(find([sly, nas], "1")).toBe(nas);
});

test("a name that two have leads to neither, and the ids are said", () => {
  expect(() => find([nas, twin], "nas")).toThrow(
    'more than one box has the name "nas": give the id, one of 1, 2',
  );
});

test("an unknown name is said, with names that are near", () => {
  expect(() => find([nas], "box")).toThrow(/^there is no box with the name or id "box"$/);
  expect(() => find([nas, { ids: ["4"], name: "other" }], "NAS-2")).toThrow(
    /"NAS-2"; did you mean "nas"\?$/,
  );
});

test("a near name from elsewhere cannot turn the reading direction", () => {
  expect(() => find([{ ids: [], name: "nas\u202e" }], "nas")).toThrow('"nas\ufffd"');
});
