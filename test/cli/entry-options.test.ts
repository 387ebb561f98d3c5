import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { readAddress, readSettings } from "../../src/cli/entry-options.js";
import { parsePathMapping } from "../../src/cli/options.js";

describe("an address", () => {
  test.each([
    ["http://nas", { host: "nas", port: 80, useSsl: false, urlBase: "" }],
    ["https://nas/sab/", { host: "nas", port: 443, useSsl: true, urlBase: "/sab" }],
    ["http://[::1]:8080/", { host: "::1", port: 8080, useSsl: false, urlBase: "" }],
    ["https://nas:80/a/b", { host: "nas", port: 80, useSsl: true, urlBase: "/a/b" }],
  ])("%s is taken apart", (url, address) => {
    expect(readAddress(url)).toEqual(address);
  });
});

describe("settings", () => {
  test("are a JSON object, or that of a file", async () => {
    expect(await readSettings('{"a": [1]}')).toEqual({ a: [1] });
    const directory = await mkdtemp(join(tmpdir(), "pulse-settings-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const file = join(directory, "settings.json");
    await writeFile(file, '{"b": true}\n');
    expect(await readSettings(`@${file}`)).toEqual({ b: true });
  });

  test.each(["", "{", "[]", "null", "7", '"text"'])(
    "%j is refused, and what is one is said",
    (text) =>
      expect(readSettings(text)).rejects.toThrow(
        "--settings is not a JSON object: give one such as",
      ),
  );

  test("a file that is not there is named", () =>
    expect(readSettings("@/no/such/file")).rejects.toThrow(
      "/no/such/file cannot be read (ENOENT)",
    ));
});

describe("a path mapping", () => {
  test.each([
    ["/downloads=/data/downloads", "/downloads", "/data/downloads"],
    ["C:\\Down=loads=\\\\nas\\dl", "C:\\Down=loads", "\\\\nas\\dl"],
    ["/a=b=/c=d", "/a=b", "/c=d"],
    ["/a=/b=/c", "/a", "/b=/c"],
  ])("%s has a directory on either side", (text, clientPath, managerPath) => {
    expect(parsePathMapping(text)).toEqual([{ clientPath, managerPath }]);
  });

  test("is added to those before it", () => {
    const before = parsePathMapping("/a=/b");
    expect(parsePathMapping("/c=/d", before)).toEqual([
      { clientPath: "/a", managerPath: "/b" },
      { clientPath: "/c", managerPath: "/d" },
    ]);
  });

  test.each(["", "=", "/downloads", "/downloads=", "=/data", "downloads=/data", "/downloads=data"])(
    "%j is none",
    (text) =>
      expect(() => parsePathMapping(text)).toThrow(
        "Give CLIENT=MANAGER, both absolute paths, such as /downloads=/data/downloads.",
      ),
  );
});
