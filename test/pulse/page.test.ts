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

  it("goes on behind the last one sent, also if that is gone or another has come", () => {
    const keyOf = ({ key }: Item) => key;
    const page = (keys: readonly string[], pageToken: string) =>
      pageOf(
        keys.map((key) => item(key)),
        keyOf,
        (each) => [each],
        { pageSize: 2, pageToken },
      );
    const { nextPageToken } = page(["a", "b", "c", "d"], "");
    const { items } = page(["a", "aa", "bb", "c", "d"], nextPageToken);
    expect(items.map(keyOf)).toEqual(["bb", "c"]);
  });

  it("takes a token only in the order that it is of", () => {
    const page = (pageToken: string, order?: string) =>
      pageOf(
        [item("a"), item("b"), item("c")],
        ({ key }) => key,
        (each) => [each],
        { pageSize: 1, pageToken },
        order,
      );
    const orders = [undefined, "load", "free-space"];
    for (const order of orders) {
      const { nextPageToken } = page("", order);
      expect(page(nextPageToken, order).items).toEqual([item("b")]);
      for (const other of orders)
        if (other !== order)
          expect(() => page(nextPageToken, other)).toThrow(
            "page_token: must be a next_page_token of this method, unchanged, with the same order",
          );
    }
  });

  it.each(["x", "1:a", "MTph=", Buffer.from("2:a").toString("base64url")])(
    "takes nothing for a token that is none: %j",
    (pageToken) =>
      expect(() =>
        pageOf(
          [item("a")],
          ({ key }) => key,
          (each) => [each],
          { pageSize: 1, pageToken },
        ),
      ).toThrow("page_token: must be"),
  );
});
