import type { ItemEvent, Watch } from "../client/index.js";
import { type Clock, systemClock } from "../lib/clock.js";
import { cell, paint, stateCell } from "./output.js";
import type { WatchTarget } from "./pulse-watch.js";
import { alignRows } from "./table.js";
import { timeText } from "./tables.js";

/** How the items of a watch are shown. */
export interface ItemView<Item> {
  /** All of them. */
  table(items: readonly Item[]): string;
  /** Titles of `cells`. */
  readonly head: readonly string[];
  /** What says which one it is, fit for a terminal. */
  cells(item: Item): readonly string[];
  /** Whether it can be used, in a word, and why. */
  stateOf(item: Item): { readonly state: string; readonly reason: string };
  /** Title of that state. */
  readonly stateHead: string;
}

/**
 * Prints the table of what there is, and then a line for each change.
 *
 * @throws Error if Pulse refuses the request or the token
 */
export async function printChanges<Item>(
  watch: Watch<Item>,
  { notes, refusal }: Pick<WatchTarget, "notes" | "refusal">,
  view: ItemView<Item>,
  print: (text: string) => void,
  clock: Pick<Clock, "wallNow"> = systemClock,
): Promise<void> {
  const head = ["TIME", "CHANGE", ...view.head, view.stateHead, "REASON"];
  const align = alignRows(head);
  const now = () => timeText(new Date(clock.wallNow()));
  align([now(), "changed", ...view.head, "degraded", ""]); // the widest that comes for sure
  let shows: "nothing" | "table" | "changes" = "nothing";
  for await (const event of watch) {
    switch (event.type) {
      case "put":
      case "delete": {
        // Those of the table give the columns their widths.
        const line = align([now(), ...changeCells(event, view)]);
        if (shows === "nothing") break;
        if (shows === "table") print(`\n${align(head.map((title) => paint("bold", title)))}`);
        print(line);
        shows = "changes";
        break;
      }
      case "synced":
        notes.found();
        if (shows !== "nothing") break;
        print(view.table(watch.current().items));
        shows = "table";
        break;
      case "stale":
        notes.lost(event.error);
        break;
      case "rejected":
        throw refusal(event.error);
    }
  }
}

function changeCells<Item>(event: ItemEvent<Item>, view: ItemView<Item>): readonly string[] {
  const { item, reason } = event;
  if (event.type === "delete") return [stateCell("gone"), ...view.cells(item), "-", cell(reason)];
  const now = view.stateOf(item);
  const before = event.before && view.stateOf(event.before);
  return [
    stateCell(before ? "changed" : "new"),
    ...view.cells(item),
    stateCell(now.state),
    cell(`${reason}${addition(reason, now, before)}`),
  ];
}

/** What the item itself says of its state, where the change's reason leaves that open. */
function addition(
  reason: string,
  now: { readonly state: string; readonly reason: string },
  before: { readonly reason: string } | undefined,
): string {
  const isNews = before ? before.reason !== now.reason : now.state !== "online";
  return isNews && now.reason !== "" && !reason.includes(now.reason) ? ` (${now.reason})` : "";
}
