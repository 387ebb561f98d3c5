import {
  type AbsolutePath,
  namesBelow,
  parseAbsolutePath,
  pathBelow,
} from "../lib/absolute-path.js";
import type { PathMapping } from "./registration.js";

/**
 * A path as media managers see it, of one that a download client has told: by the
 * mapping with the longest `clientPath` that it is in, or is. Without one it comes back as
 * it is, which is right where both see the same files, and so does what is no absolute
 * path, and a name that the manager's system cannot have.
 *
 * POSIX paths (`/downloads`) and Windows paths (`C:\Downloads`, `\\nas\media`) are told
 * apart by their form, on both sides; the latter whatever the case of their letters. What
 * was mapped stays below the mapping's `managerPath`: `..` is resolved before.
 *
 * @param entry a download client as Pulse tells of it, or anything else with path mappings
 */
export function toManagerPath(
  entry: { readonly pathMappings: readonly PathMapping[] },
  path: string,
): string {
  const told = parseAbsolutePath(path);
  if (!told) return path;
  let nearest: { readonly to: AbsolutePath; readonly names: readonly string[] } | undefined;
  for (const { clientPath, managerPath } of entry.pathMappings) {
    const from = parseAbsolutePath(clientPath);
    const to = parseAbsolutePath(managerPath);
    const names = from && namesBelow(from, told);
    if (to && names && (!nearest || names.length < nearest.names.length)) nearest = { to, names };
  }
  return (nearest && pathBelow(nearest.to, nearest.names)) ?? path;
}
