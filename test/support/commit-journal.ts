import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize } from "node:v8";
import type { Commit, CommitSummary } from "../../src/core/change.js";
import { preloaded } from "./preload.js";

/**
 * All that the Pulses with its `env` were about to commit, whole, also what they were
 * killed over: the change log of a SQLite remembers too little of a commit to tell what
 * watchers should have seen.
 */
export class CommitJournal {
  readonly #file: string;

  constructor(directory: string) {
    this.#file = join(directory, "commit-journal");
  }

  get env(): Readonly<Record<string, string>> {
    return { NODE_OPTIONS: preloaded("commit-journal"), COMMIT_JOURNAL: this.#file };
  }

  /** Finds the commit that a change log remembers; undefined: nobody has decided such a one. */
  async read(): Promise<(summary: CommitSummary) => Commit | undefined> {
    const lines = (await readFile(this.#file, "latin1")).split("\n");
    const commits = lines.flatMap(commitsOf);
    const byPlace = new Map(commits.map((commit) => [placeOf(commit), commit]));
    return (summary) => byPlace.get(placeOf(summary));
  }
}

function commitsOf(line: string): readonly Commit[] {
  try {
    return line === "" ? [] : (deserialize(Buffer.from(line, "base64")) as readonly Commit[]);
  } catch {
    return []; // its Pulse was killed while it wrote this, and so before it wrote the commit
  }
}

function placeOf({ revision, stamp }: CommitSummary): string {
  return `${revision} ${stamp}`;
}
