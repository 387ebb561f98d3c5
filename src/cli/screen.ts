import { stripVTControlCharacters } from "node:util";

/** What a screen needs of stdout. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Shows a text that changes: in place on a terminal, else one version after the other. */
export interface Screen {
  /** Does nothing if the text is the one shown. */
  show(text: string): void;
}

export function createScreen(terminal: Terminal): Screen {
  let shown: string | undefined;
  return {
    show(text) {
      if (text === shown) return;
      if (shown !== undefined)
        terminal.write(
          terminal.isTTY ? eraseLines(countRows(shown, terminal.columns || 80)) : "\n",
        );
      terminal.write(`${text}\n`);
      shown = text;
    },
  };
}

/** Moves the cursor up and clears from there to the end of the screen. */
function eraseLines(rows: number): string {
  return `\u001b[${rows}A\u001b[J`;
}

/** How many rows of the terminal a text fills, long lines being wrapped. */
function countRows(text: string, columns: number): number {
  return text
    .split("\n")
    .map((line) => Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns)))
    .reduce((sum, rows) => sum + rows, 0);
}
