import { describe, expect, it } from "vitest";
import { pageOf } from "../../src/pulse/page.js";

interface Item {
  readonly key: string;
  readonly text: string;
}

/** All pages, as a client that follows the tokens sees them. */
function pages(items: readonly Item[], pageSize = 0): string[][] {
  const all: string[][] = [];
  let pageToken = "";
  do {
    const page = pageOf(
      items,
      ({ key }) => key,
      (item) => [item],
      { pageSize, pageToken },
    );
    all.push(page.items.map(({ key }) => key));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}

const item = (key: string, length = 1): Item => ({ key, text: "x".repeat(length) });

describe("a list in pages", () => {
  it("comes in the order of its keys, each item once", () => {
    const items = ["d", "a", "ü", "c", "b"].map((key) => item(key));
    expect(pages(items, 2)).toEqual([["a", "b"], ["c", "d"], ["ü"]]);
  });

  it("that is empty is one empty page", () => {
    expect(pages([])).toEqual([[]]);
  });

  it("whose last page is just full says that it was the last", () => {
    expect(pages([item("a"), item("b")], 2)).toEqual([["a", "b"]]);
  });

  it("of large items comes in pages that a client can take", () => {
    const items = ["a", "b", "c", "d", "e"].map((key) => item(key, 400_000));
    expect(pages(items)).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  it("has even an item that is too large for any page, alone", () => {
    expect(pages([item("a", 3_000_000), item("b")])).toEqual([["a"], ["b"]]);
  });
});
