import { ProbeError } from "./adapter.js";

/** @throws ProbeError `unsupported-version` if `version` is older than `least`. */
export function requireVersion(program: string, version: string, least: string): void {
  const have = numbers(version);
  const need = numbers(least);
  for (const [i, needed] of need.entries()) {
    const part = have[i] ?? 0;
    if (part > needed) return;
    if (part < needed)
      throw new ProbeError(
        "unsupported-version",
        `${program} ${version} is too old: update it to ${least} or newer`,
      );
  }
}

/** `v5.0.0beta1` is 5, 0, 0. */
function numbers(version: string): number[] {
  return (/\d+(?:\.\d+)*/.exec(version)?.[0] ?? "").split(".").map(Number);
}
