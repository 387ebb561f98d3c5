import { spawnSync } from "node:child_process";

/**
 * Whether tests that need this program have to be skipped. Says so; and in CI,
 * where nothing may be missing, throws instead.
 */
export function isMissing(program: string): boolean {
  if (!spawnSync(program, ["--version"], { stdio: "ignore" }).error) return false;
  const message = `${program} is not installed: the tests that need it`;
  if (process.env.CI === "true") throw new Error(`${message} cannot run`);
  console.warn(`${message} are skipped`);
  return true;
}
