import { hasProgram, type Release, TRIXIE_ROOT } from "./download-clients/release.js";

/**
 * Whether tests that need this program have to be skipped. Says so; and in CI,
 * where nothing may be missing, throws instead.
 */
export function isMissing(program: string, release: Release = "installed"): boolean {
  if (hasProgram(release, program)) return false;
  const where = release === "trixie" ? ` in ${TRIXIE_ROOT}, or this is not root` : "";
  const message = `${program} is not installed${where}: the tests that need it`;
  if (process.env.CI === "true") throw new Error(`${message} cannot run`);
  console.warn(`${message} are skipped`);
  return true;
}
