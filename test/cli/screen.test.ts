import { expect, test } from "vitest";
import { createScreen } from "../../src/cli/screen.js";

function terminal(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { isTTY, columns, write: (text: string) => written.push(text), written };
}

test("an unchanged text is shown once", () => {
  const out = terminal(true);
  const screen = createScreen(out);
  screen.show("a");
  screen.show("a");
  expect(out.written).toEqual(["a\n"]);
});

test("on a terminal a changed text takes the old one's place", () => {
  const out = terminal(true);
  const screen = createScreen(out);
  screen.show("a\nb");
  screen.show("c");
  expect(out.written.join("")).toBe("a\nb\n\u001b[2A\u001b[Jc\n");
});

test("lines that the terminal wraps are counted as the rows they fill, colours not", () => {
  const out = terminal(true, 10);
  const screen = createScreen(out);
  screen.show(`${"x".repeat(21)}\n\u001b[31m${"y".repeat(10)}\u001b[39m`);
  screen.show("c");
  expect(out.written.join("")).toContain("\u001b[4A");
});

test("a terminal that does not know its width is taken for 80 columns", () => {
  const out = terminal(true, 0);
  const screen = createScreen(out);
  screen.show("x".repeat(81));
  screen.show("c");
  expect(out.written.join("")).toContain("\u001b[2A");
});

test("elsewhere each version follows the one before, with a line between", () => {
  const out = terminal(false);
  const screen = createScreen(out);
  screen.show("a");
  screen.show("b");
  expect(out.written.join("")).toBe("a\n\nb\n");
});
