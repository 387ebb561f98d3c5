import { CommandError } from "./failure.js";
import { cell } from "./output.js";

/** How to find one of many by what was typed. */
export interface Lookup<Item> {
  /** What they are, such as `download client`. */
  readonly what: string;
  /** The first one is said where a name is not enough. */
  idsOf(item: Item): readonly string[];
  nameOf(item: Item): string;
}

const MAX_NEAR = 3;

/**
 * The item with that id, else with that name.
 * @throws CommandError if there is none, or more than one of that name
 */
export function findItem<Item>(
  items: readonly Item[],
  text: string,
  { what, idsOf, nameOf }: Lookup<Item>,
): Item {
  const byId = items.find((item) => idsOf(item).includes(text));
  if (byId !== undefined) return byId;
  const [found, ...others] = items.filter((item) => nameOf(item) === text);
  if (found === undefined)
    throw new CommandError(
      `there is no ${what} with the name or id ${JSON.stringify(text)}${nearNames(items.map(nameOf), text)}`,
    );
  if (others.length > 0)
    throw new CommandError(
      `more than one ${what} has the name ${JSON.stringify(text)}: give the id, one of ${[found, ...others].map((item) => idsOf(item)[0]).join(", ")}`,
    );
  return found;
}

/** Names that were perhaps meant: one is part of the other. */
function nearNames(names: readonly string[], text: string): string {
  const typed = text.toLowerCase();
  const near = names.filter((name) => {
    const known = name.toLowerCase();
    return typed !== "" && (known.includes(typed) || typed.includes(known));
  });
  const said = [...new Set(near)].slice(0, MAX_NEAR).map((name) => cell(JSON.stringify(name)));
  return said.length > 0 ? `; did you mean ${said.join(" or ")}?` : "";
}
