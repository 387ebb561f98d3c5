import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

// What runs when somebody installs this project, and what of others comes along with it.

const ROOT = resolve(import.meta.dirname, "..");
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}
interface Locked {
  readonly packages: Readonly<
    Record<string, { readonly hasInstallScript?: true; readonly dev?: true }>
  >;
}

const manifest = JSON.parse(read("package.json")) as Manifest;
const locked = Object.entries((JSON.parse(read("package-lock.json")) as Locked).packages);
const nameOf = (path: string) => path.replace(/^.*node_modules\//, "");
const withScript = locked.filter(([, { hasInstallScript }]) => hasInstallScript);

it("each install script was looked at: package.json says whether it runs, SECURITY.md why", () => {
  const names = withScript.map(([path]) => nameOf(path)).sort();
  expect(names.length).toBeGreaterThan(0);
  expect(Object.keys(manifest.allowScripts).sort()).toEqual(names);
  const explained = read("SECURITY.md");
  for (const name of names)
    expect(explained).toContain(`\`${name.replace(/\/[^/]+-[^/]+$/, "/*")}`);
});

it("SECURITY.md names tests and pages that are there", () => {
  const links = [...read("SECURITY.md").matchAll(/\]\(((?:test|docs)\/[^)#]+)/g)];
  expect(links.length).toBeGreaterThan(5);
  for (const [, path = ""] of links) expect(existsSync(join(ROOT, path)), path).toBe(true);
});

it("no install script of a production dependency runs", () => {
  const run = withScript.filter(([path, { dev }]) => !dev && manifest.allowScripts[nameOf(path)]);
  expect(run.map(([path]) => path)).toEqual([]);
});

it("dependencies are pinned to one version each, so that a new one is a decision", () => {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  const loose = Object.entries(all).filter(
    ([, version]) => !/^\d+\.\d+\.\d+[\w.-]*$/.test(version),
  );
  expect(loose).toEqual([]);
});
