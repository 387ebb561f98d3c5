import { namesBelow, parseAbsolutePath } from "../lib/absolute-path.js";
import type { FieldViolation } from "./errors.js";
import { checkText, type TextRule } from "./text.js";

/** Two names of one directory, and of all below it. */
export interface PathMapping {
  /** As the download client writes it. */
  readonly clientPath: string;
  /** As media managers write it. */
  readonly managerPath: string;
}

/** Where the files of a download client are. */
export interface FilePlaces {
  /** Where it puts what it has fetched, as it sees that itself; empty: not known. */
  readonly downloadDirectory: string;
  readonly pathMappings: readonly PathMapping[];
}

/** What is known of files until somebody says more. */
export const NO_FILE_PLACES: FilePlaces = { downloadDirectory: "", pathMappings: [] };

const DIRECTORY_RULE: TextRule = { max: 1_024 };
const PATH_RULE: TextRule = { ...DIRECTORY_RULE, min: 1 };
const MAX_MAPPINGS = 32;
/** Of all paths of a client, in UTF-8: like metadata they stay in memory. */
const MAX_MAPPINGS_BYTES = 16_384;

/** Adds to `violations` what is wrong; `path` names the message that these are fields of. */
export function checkFilePlaces(
  violations: FieldViolation[],
  path: string,
  { downloadDirectory, pathMappings }: Partial<FilePlaces>,
): void {
  checkText(violations, `${path}.download_directory`, downloadDirectory ?? "", DIRECTORY_RULE);
  checkPathMappings(violations, `${path}.path_mappings`, pathMappings ?? []);
}

function checkPathMappings(
  violations: FieldViolation[],
  field: string,
  mappings: readonly PathMapping[],
): void {
  const refuse = (description: string) => violations.push({ field, description });
  if (mappings.length > MAX_MAPPINGS) {
    refuse(`must have at most ${MAX_MAPPINGS} items`);
    return;
  }
  for (const [i, { clientPath, managerPath }] of mappings.entries()) {
    const earlier = mappings.slice(0, i);
    checkPath(violations, `${field}[${i}].client_path`, clientPath);
    checkPath(violations, `${field}[${i}].manager_path`, managerPath);
    if (earlier.some((other) => isSameDirectory(other.clientPath, clientPath)))
      violations.push({
        field: `${field}[${i}].client_path`,
        description: "is that of an earlier one: a directory has one name at the managers",
      });
  }
  const texts = mappings.flatMap(({ clientPath, managerPath }) => [clientPath, managerPath]);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAX_MAPPINGS_BYTES)
    refuse(`has ${bytes} bytes of paths: at most ${MAX_MAPPINGS_BYTES} are allowed`);
}

function checkPath(violations: FieldViolation[], field: string, text: string): void {
  const before = violations.length;
  checkText(violations, field, text, PATH_RULE);
  if (violations.length === before && !parseAbsolutePath(text))
    violations.push({
      field,
      description: "must be an absolute path, such as /downloads, C:\\Downloads or \\\\nas\\media",
    });
}

/** `/downloads/` is `/downloads`, and `c:/dl` is `C:\DL`. */
function isSameDirectory(a: string, b: string): boolean {
  const [one, other] = [parseAbsolutePath(a), parseAbsolutePath(b)];
  return one !== undefined && other !== undefined && namesBelow(one, other)?.length === 0;
}

/** Whether somebody who looks for files sees a difference. */
export function isSameMappings(a: readonly PathMapping[], b: readonly PathMapping[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ clientPath, managerPath }, i) =>
        clientPath === b[i]?.clientPath && managerPath === b[i]?.managerPath,
    )
  );
}
