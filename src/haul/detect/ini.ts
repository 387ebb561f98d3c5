/** The value of a key in a section, as it is written; sections and keys by their exact names. */
export type Ini = (section: string, key: string) => string | undefined;

/**
 * Reads `key = value` lines in `[sections]`, as these programs write them: comments are
 * lines of their own, what is before the first section has the name "", and the last of
 * several values counts. Of `[[within]]` another section, the name is `[within]`.
 */
export function parseIni(text: string): Ini {
  const sections = new Map<string, Map<string, string>>();
  let section = "";
  for (const line of text.split(/\r?\n/).map((line) => line.trim())) {
    if (/^[#;]/.test(line)) continue;
    const title = /^\[(.*)\]$/.exec(line)?.[1];
    if (title !== undefined) {
      section = title;
      continue;
    }
    const at = line.indexOf("=");
    if (at < 1) continue;
    const values = sections.get(section) ?? new Map<string, string>();
    sections.set(section, values.set(line.slice(0, at).trimEnd(), line.slice(at + 1).trimStart()));
  }
  return (section, key) => sections.get(section)?.get(key);
}

/** Without the quotes around it, if there are any. */
export function unquoted(value: string | undefined): string | undefined {
  return value?.replace(/^"(.*)"$|^'(.*)'$/s, (_, double, single) => double ?? single);
}
