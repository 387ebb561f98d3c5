import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

type RunProgram = (
  program: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
) => Promise<string>;

/** Runs a program as somebody who has cloned the project does. */
export const runInClone: RunProgram = (program, args, env) => runIn(ROOT, program, args, env);

async function runIn(
  directory: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await run(program, [...args], {
    cwd: directory,
    env: { PATH: process.env.PATH ?? "", ...env },
  });
  return stdout;
}

/** This project as its users get it: packed, and installed in a folder that was empty. */
export interface InstalledPackage {
  readonly directory: string;
  /** Runs a program with these arguments in the folder, and returns what it wrote to stdout. */
  run: RunProgram;
  /** Compiles `files` as a consumer with this `moduleResolution` would, to JavaScript beside them. */
  compile(resolution: "node16" | "bundler", ...files: string[]): Promise<void>;
  write(file: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

/** Packs `dist` as it is built now. */
export async function installPackage(): Promise<InstalledPackage> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-installed-"));
  await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", directory], {
    cwd: ROOT,
  });
  const tarball = (await readdir(directory)).find((file) => file.endsWith(".tgz")) ?? "";
  await writeFile(join(directory, "package.json"), '{ "type": "module", "private": true }\n');
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await run("npm", ["install", ...flags, `./${tarball}`], { cwd: directory });

  return {
    directory,
    run: (program, args, env) => runIn(directory, program, args, env),
    async compile(resolution, ...files) {
      const modules = resolution === "node16" ? "node16" : "esnext";
      const types = join(ROOT, "node_modules", "@types");
      // DOM, since Connect's own types name HeadersInit; every declaration file is checked, ours too.
      await run(
        join(ROOT, "node_modules", ".bin", "tsc"),
        [
          ...["--strict", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"],
          ...["--module", modules, "--moduleResolution", resolution],
          ...["--typeRoots", types, "--types", "node", ...files],
        ],
        { cwd: directory },
      ).catch((error: { stdout?: string }) => {
        throw new Error(`does not compile with moduleResolution ${resolution}:\n${error.stdout}`);
      });
    },
    write: (file, text) => writeFile(join(directory, file), text),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** The code of the README's block below the mark `<!-- run: NAME -->`. */
export async function readmeBlock(name: string): Promise<string> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const block = new RegExp(`<!-- run: ${name} -->\n+\`\`\`\\w+\n(.*?)\`\`\``, "s").exec(
    readme,
  )?.[1];
  if (block === undefined) throw new Error(`README.md has no block marked "run: ${name}"`);
  return block;
}
