import {
  type ResumePoint,
  readResumeToken,
  writeResumeToken,
} from "../../src/pulse/resume-token.js";

/** A service or entry: its id, and all that must be right about it as one text. */
export interface RecordedItem {
  readonly id: string;
  readonly text: string;
}

/** What a watcher was told, of either topic. */
export interface RecordedResponse {
  readonly revision: bigint;
  /** May be empty. */
  readonly token: string;
  readonly event:
    | {
        readonly kind: "snapshot";
        readonly items: readonly RecordedItem[];
        readonly more: boolean;
        readonly reason: SnapshotReasonName;
      }
    | { readonly kind: "put"; readonly item: RecordedItem }
    | { readonly kind: "delete"; readonly id: string }
    | { readonly kind: "bookmark" };
}

export type SnapshotReasonName = "UNSPECIFIED" | "FIRST" | "COMPACTED" | "FUTURE" | "OTHER_HISTORY";

/** One stream of a watcher. */
export interface RecordedStream {
  /** The resume token it was opened with; empty: none. */
  readonly openedWith: string;
  readonly responses: readonly RecordedResponse[];
  /** How it ended, for people. */
  readonly end: string;
}

/** The streams of one watcher, which keeps its state from each to the next, and what it should have seen. */
export interface Recording {
  readonly name: string;
  readonly streams: readonly RecordedStream[];
  readonly truth: Truth;
}

/** Items by their ids. */
export type State = ReadonlyMap<string, string>;

/** What one filter shows of a registry, at each of its commits. */
export interface Truth {
  /** The state at the commit that a resume token names; undefined: there was no such commit. */
  stateAt(token: string): State | undefined;
  /** All commits after one and up to another; undefined: the second does not follow from the first. */
  between(from: string, to: string): readonly TrueCommit[] | undefined;
}

export interface TrueCommit {
  readonly revision: bigint;
  /** Ids of the items of this filter that it changed, or that entered or left the filter by it. */
  readonly ids: readonly string[];
}

/** What a watcher knows that does what the contract asks of it. */
export class WatchedState {
  #state: Map<string, string>;
  #parts: RecordedItem[] = [];

  constructor(state: State = new Map()) {
    this.#state = new Map(state);
  }

  get state(): State {
    return this.#state;
  }

  /** A new stream begins: the parts of a snapshot that was never completed are void. */
  reopen(): void {
    this.#parts = [];
  }

  apply({ event }: RecordedResponse): void {
    switch (event.kind) {
      case "snapshot":
        this.#parts.push(...event.items);
        if (event.more) return;
        this.#state = new Map(this.#parts.map(({ id, text }) => [id, text]));
        this.#parts = [];
        return;
      case "put":
        this.#state.set(event.item.id, event.item.text);
        return;
      case "delete":
        this.#state.delete(event.id);
        return;
      case "bookmark":
        return;
    }
  }
}

/** The commit that a stream goes on from; undefined: it began with a snapshot. */
export function resumedFrom({ openedWith, responses }: RecordedStream): ResumePoint | undefined {
  const isResumed = openedWith !== "" && responses[0]?.event.kind !== "snapshot";
  return isResumed ? readResumeToken(openedWith) : undefined;
}

/** The commit that a token names, as the token of it alone; empty for none. */
export function placeOf(token: string): string {
  if (token === "") return "";
  const { epoch, revision, stamp } = readResumeToken(token);
  return writeResumeToken({ epoch, revision, stamp });
}

/** The id of the item that a response is about, if it is a change. */
export function changedId({ event }: RecordedResponse): string | undefined {
  if (event.kind === "put") return event.item.id;
  return event.kind === "delete" ? event.id : undefined;
}

/** In what two states differ, in a line; undefined: in nothing. */
export function stateDifference(actual: State, expected: State): string | undefined {
  const differences = [
    ...[...expected.keys()].filter((id) => !actual.has(id)).map((id) => `${id} is missing`),
    ...[...actual.keys()].filter((id) => !expected.has(id)).map((id) => `${id} is too many`),
    ...[...actual]
      .filter(([id, text]) => expected.has(id) && expected.get(id) !== text)
      .map(([id, text]) => `${id} is ${apart(text, expected.get(id) ?? "")}`),
  ];
  return differences.length === 0 ? undefined : differences.join("; ");
}

const SHOWN = 60;

/** Where two texts part: each from a little before that. */
function apart(actual: string, expected: string): string {
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at++;
  const from = Math.max(0, at - SHOWN / 2);
  const [is, should] = [actual, expected].map((text) => text.slice(from, from + SHOWN));
  return `${is}, not ${should}`;
}
