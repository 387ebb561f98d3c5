import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** Tests run the programs as they are built: what is in `dist/` must be what is in `src/`. */
export function setup(): void {
  const cwd = join(import.meta.dirname, "..", "..");
  const { status, stdout, stderr } = spawnSync("npm", ["run", "build", "--silent"], { cwd });
  if (status !== 0) throw new Error(`the build fails:\n${stdout}${stderr}`);
}
