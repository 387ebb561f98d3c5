import type { ErrorCode } from "yaml";

/** What to say of a mistake in YAML. The parser's own messages quote what they stumble over. */
export function yamlProblem(code: ErrorCode): string {
  return PROBLEMS[code] ?? "is no YAML from here on: check quotes, brackets and indentation";
}

const NO_MAP =
  "is no key with a value: check the indentation, and put quotes around a value with a colon in it";

const PROBLEMS: Partial<Record<ErrorCode, string>> = {
  BAD_COLLECTION_TYPE: "has a tag, and none is understood: leave it out",
  BAD_DQ_ESCAPE:
    "has a backslash in double quotes that means nothing: use single quotes, or \\\\ for each backslash",
  BAD_INDENT: "is not indented as what it belongs to, or a bracket before it is not closed",
  BAD_SCALAR_START: "begins with a character that needs quotes around the whole value",
  BLOCK_AS_IMPLICIT_KEY: NO_MAP,
  DUPLICATE_KEY: "is a key that is there already: keep one of the two",
  MISSING_CHAR: "lacks a quote, bracket, comma or space",
  MULTILINE_IMPLICIT_KEY: NO_MAP,
  MULTIPLE_DOCS: "begins a second document: keep one",
  NON_STRING_KEY: "is a key that is no text: check the brackets",
  TAB_AS_INDENT: "is indented with a tab: use spaces",
  TAG_RESOLVE_FAILED: "has a tag, and none is understood: leave it out",
};
