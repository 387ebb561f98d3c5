/** The statements of a bare loop: those that any program would need to keep what a Register keeps. */

export type Row = Readonly<Record<string, unknown>>;

/** What Pulse has written, as it stands in its tables. */
export interface PulseRows {
  readonly services: readonly Row[];
  /** Of its newest commit, which registered again a service that was there. */
  readonly changes: readonly Row[];
  /** The same commit for other nodes; undefined in a store of one Pulse alone. */
  readonly feed: Row | undefined;
}

export interface Statement {
  readonly name: string;
  readonly text: string;
  /** @param nth counts the transactions of the loop from 1 */
  readonly values: (nth: number) => unknown[];
}

/** Written apart: who holds an instance is no part of its Register. */
const NOT_WRITTEN: readonly string[] = ["node_id", "lapses_at"];

/** Far above all revisions that Pulse has reached. */
const FIRST_REVISION = 1_000_000_000;

/**
 * What one transaction runs, in this order. The clock comes last, since others wait
 * for its row: that Pulse has it first, for the sake of its order, is part of what is
 * compared.
 * @param placeOf a parameter in the text, counted from 1
 */
export function statementsOf(
  { services, changes, feed }: PulseRows,
  placeOf: (nth: number) => string,
): readonly Statement[] {
  const [service] = services;
  if (!service || changes.length === 0) throw new Error("Pulse has written nothing yet");
  const columns = Object.keys(service).filter((name) => !NOT_WRITTEN.includes(name));
  const updates = columns
    .filter((name) => name !== "id")
    .map((name) => `${name} = excluded.${name}`);
  return [
    {
      name: "service",
      text: `${insertText("services", columns, 1, placeOf)} on conflict (id) do update set ${updates.join(", ")}`,
      values: (nth) => {
        const row = services[nth % services.length] ?? service;
        const renewed: Row = { ...row, rev: nth, last_seen_at: nth, lease_expires_at: nth };
        return columns.map((name) => renewed[name]);
      },
    },
    {
      name: "changes",
      text: insertText("change_log", Object.keys(changes[0] ?? {}), changes.length, placeOf),
      values: (nth) =>
        changes.flatMap((change) => Object.values({ ...change, rev: FIRST_REVISION + nth })),
    },
    ...(feed
      ? [
          {
            name: "feed",
            text: insertText("feed", Object.keys(feed), 1, placeOf),
            values: (nth: number) => Object.values({ ...feed, rev: FIRST_REVISION + nth }),
          },
        ]
      : []),
    {
      name: "clock",
      text: `update clock set rev = rev + 1, stamp = ${placeOf(1)}`,
      values: () => [changes[0]?.stamp],
    },
  ];
}

function insertText(
  table: string,
  columns: readonly string[],
  rows: number,
  placeOf: (nth: number) => string,
): string {
  const tuples = Array.from({ length: rows }, (_, row) => {
    const places = columns.map((_, column) => placeOf(row * columns.length + column + 1));
    return `(${places.join(", ")})`;
  });
  return `insert into ${table} (${columns.join(", ")}) values ${tuples.join(", ")}`;
}
