import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { ConfigError, readConfig } from "../../../src/haul/config/index.js";

export interface ConfigDirectory {
  readonly path: string;
  /** Writes a file, for its owner alone, and returns its path. */
  put(name: string, text: string): Promise<string>;
  /** Writes haul.yaml, reads it, and returns what is wrong with it: lines without the directory. */
  problems(yaml: string, env?: Readonly<Record<string, string>>): Promise<string[]>;
}

/** A directory for configuration files; gone after the test. */
export async function configDirectory(): Promise<ConfigDirectory> {
  const path = await mkdtemp(join(tmpdir(), "haul-config-"));
  onTestFinished(() => rm(path, { recursive: true }));
  const put = async (name: string, text: string) => {
    const file = join(path, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  return {
    path,
    put,
    async problems(yaml, env = {}) {
      const error = await readConfig(await put("haul.yaml", yaml), env).catch((error) => error);
      if (!(error instanceof ConfigError)) throw new Error("the file is good", { cause: error });
      return error.message.replaceAll(`${path}/`, "").split("\n");
    },
  };
}

/** A good client, with these lines of YAML more, each indented as its keys are. */
export function clientWith(...lines: string[]): string {
  return [
    "clients:",
    "  - name: qb",
    "    kind: qbittorrent",
    "    url: http://127.0.0.1:8080",
    ...lines.map((line) => `    ${line}`),
    "",
  ].join("\n");
}
