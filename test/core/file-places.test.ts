import { describe, expect, it } from "vitest";
import type { FieldViolation } from "../../src/core/errors.js";
import {
  checkFilePlaces,
  type FilePlaces,
  isSameMappings,
  type PathMapping,
} from "../../src/core/file-places.js";

function problems(places: Partial<FilePlaces>): string[] {
  const violations: FieldViolation[] = [];
  checkFilePlaces(violations, "at", places);
  return violations.map(({ field, description }) => `${field}: ${description}`);
}

const mapping = (clientPath: string, managerPath = "/data"): PathMapping => ({
  clientPath,
  managerPath,
});
const many = (count: number, path = "") =>
  Array.from({ length: count }, (_, i) => mapping(`/downloads/${i}${path}`));

describe("where the files of a download client are", () => {
  it.each<[string, Partial<FilePlaces>]>([
    ["nothing that is known", {}],
    ["no directory", { downloadDirectory: "" }],
    ["a directory as the client sees it, whatever that looks like", { downloadDirectory: "dl" }],
    ["a directory of 1,024 characters", { downloadDirectory: "é".repeat(1_024) }],
    [
      "paths of POSIX",
      { pathMappings: [mapping("/"), mapping("/downloads"), mapping("/Downloads")] },
    ],
    ["paths of Windows", { pathMappings: [mapping("C:\\dl", "D:/dl"), mapping("\\\\nas\\share")] }],
    ["32 mappings", { pathMappings: many(32) }],
    ["paths of 1,024 characters", { pathMappings: [mapping(`/${"x".repeat(1_023)}`)] }],
    [
      "16,384 bytes of paths",
      {
        pathMappings: Array.from({ length: 8 }, (_, i) =>
          mapping(`/${i}${"x".repeat(1_022)}`, `/${"x".repeat(1_023)}`),
        ),
      },
    ],
  ])("may be %s", (_, places) => expect(problems(places)).toEqual([]));

  it.each<[string, Partial<FilePlaces>]>([
    [
      "at.download_directory: must have at most 1024 characters",
      { downloadDirectory: "x".repeat(1_025) },
    ],
    ["at.download_directory: must not contain control characters", { downloadDirectory: "/a\nb" }],
    ["at.path_mappings: must have at most 32 items", { pathMappings: many(33) }],
    [
      "at.path_mappings[1].client_path: is required",
      { pathMappings: [mapping("/a"), mapping("")] },
    ],
    ["at.path_mappings[0].manager_path: is required", { pathMappings: [mapping("/a", "")] }],
    [
      "at.path_mappings[0].manager_path: must have at most 1024 characters",
      { pathMappings: [mapping("/a", `/${"x".repeat(1_024)}`)] },
    ],
    [
      "at.path_mappings[0].client_path: must not contain control characters",
      { pathMappings: [mapping("/a\u0000")] },
    ],
    ...["downloads", "C:", "\\downloads", "../a", "~/a", "smb://nas/a", "C:\\a:b"].map(
      (path): [string, Partial<FilePlaces>] => [
        "at.path_mappings[0].client_path: must be an absolute path, such as /downloads, C:\\Downloads or \\\\nas\\media",
        { pathMappings: [mapping(path)] },
      ],
    ),
    ...[
      ["/a", "/a"],
      ["/a", "/a/"],
      ["/a/b", "/a/./x/../b"],
      ["C:\\Downloads", "c:/downloads/"],
    ].map(([one = "", other = ""]): [string, Partial<FilePlaces>] => [
      "at.path_mappings[1].client_path: is that of an earlier one: a directory has one name at the managers",
      { pathMappings: [mapping(one), mapping(other, "/elsewhere")] },
    ]),
    [
      "at.path_mappings: has 16392 bytes of paths: at most 16384 are allowed",
      {
        pathMappings: Array.from({ length: 8 }, (_, i) =>
          mapping(`/${i}${"é".repeat(511)}`, `/${"é".repeat(512)}`),
        ),
      },
    ],
  ])("is refused: %s", (message, places) => expect(problems(places)).toEqual([message]));

  it("names every bad path at once", () => {
    const pathMappings = [mapping("a", "b"), mapping("/c", "")];
    expect(problems({ downloadDirectory: "\u0007", pathMappings })).toHaveLength(4);
  });
});

it("mappings are the same if each says the same", () => {
  const one = [mapping("/a"), mapping("/b", "/c")];
  expect(isSameMappings(one, structuredClone(one))).toBe(true);
  expect(isSameMappings([], [])).toBe(true);
  for (const other of [
    [],
    one.slice(0, 1),
    [...one, mapping("/d")],
    [mapping("/a"), mapping("/b", "/d")],
    [mapping("/x"), mapping("/b", "/c")],
  ])
    expect(isSameMappings(one, other)).toBe(false);
});
