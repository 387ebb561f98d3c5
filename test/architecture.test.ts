import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

// The rooms of the house and the arrows between them. docs/architecture.md says it in words.

const ROOT = resolve(import.meta.dirname, "..");

interface Import {
  readonly file: string;
  readonly from: string;
  /** A room of src, `gen`, or the name of a package. */
  readonly to: string;
}

const sources = readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => join(entry.parentPath, entry.name));

const imports = sources.flatMap((path): Import[] => {
  const text = readFileSync(path, "utf8");
  const specifiers = [
    ...text.matchAll(
      /^(?:import|export)\b[^;]*?from "([^"]+)"|^import "([^"]+)"|import\("([^"]+)"\)/gms,
    ),
  ];
  const file = relative(ROOT, path);
  return specifiers.map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    const to = specifier.startsWith(".") ? roomOf(resolve(dirname(path), specifier)) : specifier;
    return { file, from: roomOf(path), to };
  });
});

function roomOf(path: string): string {
  const [top = "", room = ""] = relative(ROOT, path).split("/");
  return top === "src" ? room : top;
}

function offenders(isWrong: (edge: Import) => boolean): string[] {
  return imports.filter(isWrong).map(({ file, to }) => `${file} imports ${to}`);
}

/** The files that are loaded with one, at once: neither for their types alone nor by `import()`. */
function loadedBy(first: string): Set<string> {
  const loaded = new Set([first]);
  for (const file of loaded) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, specifier = ""] of text.matchAll(
      /^(?:import|export)(?! type\b)[^;]*?from "(\.[^"]+)"/gms,
    )) {
      const path = resolve(ROOT, dirname(file), specifier).replace(/\.js$/, ".ts");
      if (sources.includes(path)) loaded.add(relative(ROOT, path));
    }
  }
  return loaded;
}

const ROOMS = ["cli", "pulse", "haul", "client", "adapters", "store", "wire", "core", "lib"];

/** What each room may import besides itself and packages. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  cli: ["pulse", "haul", "client", "gen", "lib"],
  pulse: ["adapters", "store", "wire", "core", "gen", "lib"],
  haul: ["client", "adapters", "gen", "lib"],
  client: ["wire", "gen", "lib"],
  adapters: ["lib"],
  store: ["core", "gen", "lib"],
  wire: ["gen", "lib"],
  core: ["lib"],
  lib: [],
};

describe("the rooms", () => {
  it("are these nine, so that a newcomer can learn them", () => {
    expect([...new Set(imports.map(({ from }) => from))].sort()).toEqual([...ROOMS].sort());
  });

  it.each(ROOMS)("%s imports only rooms below it, so that no layer calls back up", (room) => {
    const allowed = [room, ...(ALLOWED[room] ?? [])];
    expect(
      offenders(
        ({ from, to }) =>
          from === room && (ROOMS.includes(to) || to === "gen") && !allowed.includes(to),
      ),
    ).toEqual([]);
  });

  it("pulse and client never meet but in the contract: each must work with another's other half", () => {
    expect(
      offenders(
        ({ from, to }) =>
          (from === "pulse" && to === "client") || (from === "client" && to === "pulse"),
      ),
    ).toEqual([]);
  });
});

describe("packages", () => {
  it("grpc-js and Connect's node adapter are known to wire alone, so that they can be replaced", () => {
    const wireOnly = /^@grpc\/grpc-js|^@connectrpc\/connect-node|^@connectrpc\/connect\/protocol/;
    expect(offenders(({ from, to }) => from !== "wire" && wireOnly.test(to))).toEqual([]);
  });

  it("SQLite's driver is named in one file, so that another can take its place", () => {
    const files = imports.filter(({ to }) => to === "libsql").map(({ file }) => file);
    expect([...new Set(files)]).toEqual(["src/store/sqlite.ts"]);
  });

  it("PostgreSQL's driver, and SQL, are known to store alone", () => {
    const isDriver = ({ to }: { readonly to: string }) => to === "pg" || to.startsWith("kysely");
    expect(imports.some(isDriver)).toBe(true);
    expect(offenders(({ from, to }) => from !== "store" && isDriver({ to }))).toEqual([]);
  });

  it("a Haul without a configuration file loads neither zod nor yaml, which take memory", () => {
    const loaded = loadedBy("src/cli/haul.ts");
    expect(loaded).toContain("src/haul/haul.ts");
    expect([...loaded].filter((file) => file.startsWith("src/haul/config/"))).toEqual([]);
    const users = imports.filter(({ to }) => to === "zod" || to === "yaml");
    expect(users.map(({ file }) => file).filter((file) => loaded.has(file))).toEqual([]);
  });

  it("core does no I/O: its rules run anywhere, and its tests need nothing", () => {
    expect(offenders(({ from, to }) => from === "core" && to.startsWith("node:"))).toEqual([]);
  });
});

describe("the process", () => {
  const textOf = (path: string) => readFileSync(path, "utf8");
  const filesWith = (pattern: RegExp, exceptRoom: string) =>
    sources
      .filter((path) => roomOf(path) !== exceptRoom && pattern.test(textOf(path)))
      .map((path) => relative(ROOT, path));

  it("argv, environment, stdout and exit belong to cli: the rest can be embedded", () => {
    expect(
      filesWith(/\bprocess\.(argv|env|exit|stdout|stderr|stdin|on)\b|\bconsole\./, "cli"),
    ).toEqual([]);
  });

  it("timers and clocks belong to lib/clock.ts: the rest can be tested in manual time", () => {
    const pattern =
      /\b(setTimeout|setInterval|Date\.now|performance\.now)\(|new Date\(\)|Math\.random/;
    expect(filesWith(pattern, "lib").filter((file) => !file.startsWith("src/cli/"))).toEqual([]);
  });
});
