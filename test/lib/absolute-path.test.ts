import { describe, expect, it } from "vitest";
import { namesBelow, parseAbsolutePath, pathBelow } from "../../src/lib/absolute-path.js";

/** What leads from one directory to a path; undefined also if either is no path. */
function below(directory: string, path: string): string | undefined {
  const [from, to] = [parseAbsolutePath(directory), parseAbsolutePath(path)];
  return from && to && namesBelow(from, to)?.join(" > ");
}

describe("an absolute path", () => {
  it.each([
    ["/", "posix", "", []],
    ["/srv/media", "posix", "", ["srv", "media"]],
    ["//srv///media//", "posix", "", ["srv", "media"]],
    ["/srv/./a/../../media/", "posix", "", ["media"]],
    ["/../..", "posix", "", []],
    ["/a\\b: ... ", "posix", "", ["a\\b: ... "]],
    ["C:\\", "windows", "C:", []],
    ["C:\\Down loads\\tv", "windows", "C:", ["Down loads", "tv"]],
    ["c:/Downloads\\tv/..", "windows", "c:", ["Downloads"]],
    ["C:\\..\\..\\x", "windows", "C:", ["x"]],
    ["\\\\nas\\media", "windows", "\\\\nas\\media", []],
    ["\\\\nas/media\\..\\tv", "windows", "\\\\nas/media", ["tv"]],
  ])("%j is %s, from %j on %j", (text, style, root, names) => {
    expect(parseAbsolutePath(text)).toMatchObject({ style, root, names });
  });

  it.each([
    "",
    "downloads",
    "./downloads",
    "../downloads",
    "~/downloads",
    "\\downloads",
    "C:",
    "C:downloads",
    "CD:\\downloads",
    "\\\\nas",
    "\\\\nas\\",
    "\\\\..\\media",
    "\\\\nas\\..\\x",
    "\\\\?\\C:\\Downloads",
    "C:\\a:b",
    "C:\\x\\...\\y",
    "C:\\x\\.. \\y",
    "file:///downloads",
  ])("%j is none", (text) => expect(parseAbsolutePath(text)).toBeUndefined());
});

describe("what is below a directory", () => {
  it.each([
    ["/downloads", "/downloads/tv/a.mkv", "tv > a.mkv"],
    ["/downloads/", "/downloads", ""],
    ["/", "/downloads", "downloads"],
    ["/downloads", "/downloads2/a", undefined],
    ["/downloads/tv", "/downloads", undefined],
    ["/downloads", "/downloads/../etc/passwd", undefined],
    ["/downloads", "/Downloads/a", undefined],
    ["C:\\Downloads", "c:/DOWNLOADS/Ä.mkv", "Ä.mkv"],
    ["C:\\Downloads", "D:\\Downloads\\a", undefined],
    ["\\\\NAS\\media", "\\\\nas/Media\\tv", "tv"],
    ["\\\\nas\\media", "\\\\nas\\media2\\tv", undefined],
    ["/c", "C:\\c", undefined],
  ])("%j, to %j, is %j", (directory, path, names) => expect(below(directory, path)).toBe(names));

  it.each([
    ["/data", ["a", "b"], "/data/a/b"],
    ["/data/", [], "/data"],
    ["/", ["a"], "/a"],
    ["C:\\Data", ["a", "b"], "C:\\Data\\a\\b"],
    ["C:/Data", ["a"], "C:/Data/a"],
    ["\\\\nas\\media", ["a"], "\\\\nas\\media\\a"],
    ["C:\\Data", ["..\\x"], undefined],
    ["C:\\Data", ["a:b"], undefined],
    ["C:\\Data", [".. "], undefined],
    ["/data", ["a:b\\c"], "/data/a:b\\c"],
  ])("%j has %j as %j", (directory, names, path) => {
    const parsed = parseAbsolutePath(directory);
    expect(parsed && pathBelow(parsed, names)).toBe(path);
  });
});
