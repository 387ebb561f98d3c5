/** A path of another machine, taken apart: this one need not have its kind of paths. */
export interface AbsolutePath {
  readonly style: "posix" | "windows";
  /** Empty, or a drive such as `C:`, or a share such as `\\nas\media`. */
  readonly root: string;
  /** What leads from there, without `.` and `..`. */
  readonly names: readonly string[];
  /** As the path was written. */
  readonly separator: "/" | "\\";
}

/**
 * Takes an absolute path apart: `/srv/media`, `C:\Media` or `C:/Media`, `\\nas\media`.
 * Undefined: it is none, or no file can have that name.
 */
export function parseAbsolutePath(text: string): AbsolutePath | undefined {
  if (text.startsWith("/")) return pathOf("posix", "", text.split("/"), "/");
  const root = /^(?:[a-z]:(?=[\\/])|\\\\[^\\/]+[\\/][^\\/]+(?=[\\/]|$))/i.exec(text)?.[0];
  if (root === undefined) return undefined;
  const parts = root.startsWith("\\") ? root.slice(2).split(/[\\/]/) : [];
  if (!parts.every((part) => isName(part, "windows"))) return undefined;
  const steps = text.slice(root.length).split(/[\\/]/);
  return pathOf("windows", root, steps, text.includes("\\") ? "\\" : "/");
}

function pathOf(
  style: AbsolutePath["style"],
  root: string,
  steps: readonly string[],
  separator: AbsolutePath["separator"],
): AbsolutePath | undefined {
  const names: string[] = [];
  for (const step of steps) {
    if (step === "..") names.pop();
    else if (step === "" || step === ".") continue;
    else if (isName(step, style)) names.push(step);
    else return undefined;
  }
  return { style, root, names, separator };
}

/**
 * Whether something in a directory can be called that. To Windows a name with a separator
 * is two, one with a colon is a drive or a stream, and of dots and spaces it knows but
 * steps: where one leads depends on who asks.
 */
function isName(name: string, style: AbsolutePath["style"]): boolean {
  return style === "posix" ? !name.includes("/") : !/[\\/:]|^[. ]+$/.test(name);
}

/** What leads from a directory to a path in it, or is it; undefined: it is elsewhere. */
export function namesBelow(
  directory: AbsolutePath,
  path: AbsolutePath,
): readonly string[] | undefined {
  const { length } = directory.names;
  const isBelow =
    directory.style === path.style &&
    isSame(directory.root, path.root, path.style) &&
    length <= path.names.length &&
    directory.names.every((name, i) => isSame(name, path.names[i] ?? "", path.style));
  return isBelow ? path.names.slice(length) : undefined;
}

/** Windows does not tell upper from lower case, nor one separator from the other. */
function isSame(a: string, b: string, style: AbsolutePath["style"]): boolean {
  return style === "posix" ? a === b : folded(a) === folded(b);
}

function folded(name: string): string {
  return name.replaceAll("/", "\\").toLowerCase();
}

/** The path of what is in a directory; undefined: nothing there can have these names. */
export function pathBelow(directory: AbsolutePath, names: readonly string[]): string | undefined {
  const { style, root, separator } = directory;
  if (!names.every((name) => isName(name, style))) return undefined;
  const all = [...directory.names, ...names];
  return root + separator + all.join(separator);
}
