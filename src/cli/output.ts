import { styleText } from "node:util";
import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";

/** Whether to colour what goes to stdout: a terminal that can, and no NO_COLOR. */
export function hasColours(): boolean {
  return process.stdout.isTTY === true && process.stdout.hasColors();
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** For what people read and programs do not: stdout stays clean. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Warns of an answer of a Pulse that does not know what others have changed meanwhile. */
export function noteIfStale({ stale }: { readonly stale: boolean }): void {
  if (stale)
    note(
      "This Pulse cannot reach the database that it shares with others: they may have changed more.",
    );
}

/** A message in proto JSON, with the fields that have their default value too: `[]` and `false` are answers. */
export function printJson<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): void {
  print(toJsonString(schema, message, { alwaysEmitImplicit: true, prettySpaces: 2 }));
}

/** As `printJson`, in one line. */
export function printJsonLine<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): void {
  print(toJsonString(schema, message, { alwaysEmitImplicit: true }));
}

/** One line for each thing that is known; undefined: it is not. */
export function factLines(facts: readonly (readonly [string, string | undefined])[]): string {
  return facts.map(([name, value]) => `${name.padEnd(13)}${cell(value ?? "unknown")}`).join("\n");
}

export type Style = "bold" | "dim" | "red" | "yellow" | "green";

export function paint(style: Style, text: string): string {
  return hasColours() ? styleText(style, text, { validateStream: false }) : text;
}

/**
 * Text from elsewhere, fit for a terminal: what could move the cursor, change
 * the title or turn the reading direction becomes a visible mark.
 */
export function cell(text: string): string {
  return text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd") || "-";
}

/** A state such as `online`, in the colour of a traffic light. */
export function stateCell(state: string): string {
  const style = STATE_STYLES[state];
  return style ? paint(style, state) : state;
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  online: "green",
  degraded: "yellow",
  offline: "red",
  pending: "yellow",
  rejected: "red",
  revoked: "dim",
  expired: "dim",
  spent: "dim",
  deleted: "dim",
  away: "dim",
  new: "green",
  changed: "yellow",
  gone: "red",
  ok: "green",
};
