import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescMethod } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type { Encoding } from "./sender.js";

/** An input that has found something once, or that is likely to. */
export interface CorpusEntry {
  /** Such as `RegistryService/Register`. */
  readonly method: string;
  readonly base64: string;
  /** What it found, or tries. */
  readonly why: string;
}

/** What is kept of earlier runs; each run begins with it. */
export const CORPUS = JSON.parse(
  readFileSync(join(import.meta.dirname, "corpus", "requests.json"), "utf8"),
) as readonly CorpusEntry[];

export function shortName(method: DescMethod): string {
  return `${method.parent.name}/${method.name}`;
}

/** What an honest refusal never looks like: a bug that was caught, or a call that hangs. */
const BAD_END =
  /^(INTERNAL|UNKNOWN|DATA_LOSS|DEADLINE_EXCEEDED|undefined|500)|"code":"(internal|unknown|data_loss)"/;

/** @throws with the line to add to the corpus */
export function expectHonestEnd(
  end: string,
  encoding: Encoding,
  method: DescMethod,
  bytes: Uint8Array,
): void {
  if (!BAD_END.test(end)) return;
  const entry: CorpusEntry = {
    method: shortName(method),
    base64: Buffer.from(bytes).toString("base64"),
    why: end.slice(0, 200),
  };
  expect.fail(`over ${encoding}: ${end}\nfor the corpus: ${JSON.stringify(entry)}`);
}
