import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
  visit,
  type YAMLError,
} from "yaml";
import type { Place, Problem } from "./config-error.js";
import { yamlProblem } from "./yaml-problem.js";

/** Names of keys and indexes, from the top of the file. */
export type ValuePath = readonly PropertyKey[];

/** What a file holds, and where. */
export interface ConfigText {
  readonly value: unknown;
  /** Of a value, or of what should hold it. */
  placeOf(path: ValuePath): Place;
  /** Of a key itself. */
  placeOfKey(path: ValuePath): Place;
}

export type ParsedConfig =
  | ({ readonly ok: true } & ConfigText)
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** A file with all clients, keys and a comment for each has a third of that. */
const MAX_PARTS = 30_000;
/** Its own have seven. */
const MAX_DEPTH = 32;
const MAX_ALIASES = 100;

/** Reads YAML 1.2, and with it JSON. What cannot be read is told by its place alone. */
export function parseConfig(text: string): ParsedConfig {
  const fail = (problem: string): ParsedConfig => ({ ok: false, problems: [{ text: problem }] });
  if (!isModest(text))
    return fail("is too large or too deep for a configuration: leave out what is none of it");
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false, // they quote the line
    stringKeys: true,
    resolveKnownTags: false,
    logLevel: "error", // warnings are collected, not written to the console
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const problems = [
    ...firstOfEachLine([...document.errors, ...document.warnings], placeAt),
    ...aliasProblems(document, placeAt),
  ];
  if (problems.length > 0) return { ok: false, problems };
  const place = (node: Node | undefined): Place => placeAt(node?.range?.[0] ?? 0);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    return fail("has aliases within aliases that make it too large: write it out");
  }
  return {
    ok: true,
    value,
    placeOf: (path) => place(nodesTo(document, path).at(-1)),
    placeOfKey: (path) => place(keyNode(document, path) ?? nodesTo(document, path).at(-1)),
  };
}

/** Beyond these bounds the parser takes long, or more of the stack than there is. */
function isModest(text: string): boolean {
  const parser = new Parser();
  let parts = 0;
  for (const part of new Lexer().lex(text)) {
    for (const _ of parser.next(part));
    parts += 1;
    if (parts > MAX_PARTS || parser.stack.length > 2 * MAX_DEPTH) return false;
  }
  return true;
}

/** What is wrong with a line makes the parser stumble over the rest of it. */
function firstOfEachLine(
  errors: readonly YAMLError[],
  placeAt: (offset: number) => Place,
): Problem[] {
  const byLine = new Map<number, Problem>();
  for (const { code, pos } of errors) {
    const place = placeAt(pos[0]);
    if (!byLine.has(place.line)) byLine.set(place.line, { place, text: yamlProblem(code) });
  }
  return [...byLine.values()];
}

function aliasProblems(document: Document, placeAt: (offset: number) => Place): Problem[] {
  const aliases: Alias[] = [];
  visit(document, { Alias: (_, alias) => void aliases.push(alias) });
  const tooMany = aliases[MAX_ALIASES];
  const at = ({ range }: Alias) => placeAt(range?.[0] ?? 0);
  if (tooMany)
    return [
      { place: at(tooMany), text: `there are more than ${MAX_ALIASES} aliases: write it out` },
    ];
  return aliases
    .filter((alias) => !alias.resolve(document))
    .map((alias) => ({ place: at(alias), text: "no anchor of this alias comes before it" }));
}

/** Those on the way to a value, as far as there are any. */
function nodesTo(document: Document, path: ValuePath): Node[] {
  const nodes: Node[] = isNode(document.contents) ? [document.contents] : [];
  for (const key of path) {
    const parent = target(document, nodes.at(-1));
    const child = isMap(parent) || isSeq(parent) ? parent.get(key, true) : undefined;
    if (!isNode(child)) break;
    nodes.push(child);
  }
  return nodes;
}

function keyNode(document: Document, path: ValuePath): Node | undefined {
  const parent = target(document, nodesTo(document, path.slice(0, -1)).at(-1));
  if (!isMap(parent)) return undefined;
  const name = String(path.at(-1));
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === name);
  return isPair(pair) && isNode(pair.key) ? pair.key : undefined;
}

function target(document: Document, node: Node | undefined): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node;
}
