import { posix, win32 } from "node:path";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DownloadClientSchema } from "../../gen/pulse/v1/download_client_pb.js";
import { toManagerPath } from "../../src/client/index.js";

const mapped = (path: string, ...pairs: readonly (readonly [string, string])[]) =>
  toManagerPath(
    { pathMappings: pairs.map(([clientPath, managerPath]) => ({ clientPath, managerPath })) },
    path,
  );

describe("a path as managers see it", () => {
  const TO_DATA = ["/downloads", "/data/downloads"] as const;

  it.each([
    ["a file below", "/downloads/tv/a.mkv", "/data/downloads/tv/a.mkv"],
    ["the directory itself", "/downloads", "/data/downloads"],
    ["with a slash at its end", "/downloads/", "/data/downloads"],
    ["with steps that stay within", "/downloads/x/../a", "/data/downloads/a"],
    ["with steps out and in again", "/downloads/../downloads/a", "/data/downloads/a"],
    ["with odd names", "/downloads/a=b: \\c/...", "/data/downloads/a=b: \\c/..."],
  ])("%s", (_, path, seen) => expect(mapped(path, TO_DATA)).toBe(seen));

  it.each([
    ["is elsewhere", "/media/a.mkv"],
    ["only begins alike", "/downloads2/a.mkv"],
    ["has another case", "/Downloads/a.mkv"],
    ["leads out again", "/downloads/../etc/passwd"],
    ["is relative", "downloads/a.mkv"],
    ["is a Windows path", "C:\\downloads\\a.mkv"],
    ["is empty", ""],
  ])("comes back as it is if it %s", (_, path) => expect(mapped(path, TO_DATA)).toBe(path));

  it("comes back as it is without mappings", () => {
    expect(mapped("/downloads/a/")).toBe("/downloads/a/");
  });

  it("is that of the longest mapping that fits, wherever it stands", () => {
    const pairs = [
      ["/", "/all"],
      ["/downloads", "/dl"],
      ["/downloads/tv/hd", "/hd"],
      ["/downloads/tv", "/tv"],
    ] as const;
    for (const order of [pairs, pairs.toReversed()]) {
      expect(mapped("/downloads/tv/a", ...order)).toBe("/tv/a");
      expect(mapped("/downloads/tv/hd/a", ...order)).toBe("/hd/a");
      expect(mapped("/downloads/tv2/a", ...order)).toBe("/dl/tv2/a");
      expect(mapped("/etc/a", ...order)).toBe("/all/etc/a");
    }
  });

  it.each([
    ["C:\\Downloads", "/data", "c:\\DOWNLOADS\\TV\\A.mkv", "/data/TV/A.mkv"],
    ["C:/Downloads", "/data", "C:\\Downloads\\tv/a", "/data/tv/a"],
    ["D:\\", "/d", "d:\\a", "/d/a"],
    ["\\\\NAS\\media", "/media", "\\\\nas\\Media\\tv", "/media/tv"],
    ["/downloads", "\\\\nas\\media\\dl", "/downloads/tv/a", "\\\\nas\\media\\dl\\tv\\a"],
    ["/downloads", "Z:\\", "/downloads/tv", "Z:\\tv"],
    ["/downloads", "Z:/dl", "/downloads/tv/a", "Z:/dl/tv/a"],
    ["/", "/host", "/a", "/host/a"],
    ["/downloads", "/", "/downloads/a", "/a"],
  ])("between %j and %j: %j is %j", (client, manager, path, seen) =>
    expect(mapped(path, [client, manager])).toBe(seen),
  );

  it.each(["/dl/..\\..\\x", "/dl/a\\b", "/dl/a:b", "/dl/.. /x", "/dl/..."])(
    "comes back as it is if Windows has no such name: %j",
    (path) => expect(mapped(path, ["/dl", "C:\\Data"], ["/", "/all"])).toBe(path),
  );

  it("is read from an entry as Pulse tells of it", () => {
    const pathMappings = [{ clientPath: "/downloads", managerPath: "/data" }];
    expect(toManagerPath(create(DownloadClientSchema, { pathMappings }), "/downloads/a")).toBe(
      "/data/a",
    );
  });
});

describe("of any paths", () => {
  const name = fc
    .string({ unit: fc.constantFrom("a", "B", ".", " ", "\\", ":", "é"), minLength: 1 })
    .filter((text) => text !== "." && text !== "..");
  const plain = fc.string({ unit: fc.constantFrom("a", "B", "-"), minLength: 1, maxLength: 4 });
  const steps = fc.array(fc.oneof(plain, name, fc.constantFrom("..", ".", "")), { maxLength: 6 });
  const posixRoot = fc.array(plain, { maxLength: 3 }).map((names) => `/${names.join("/")}`);
  const windowsRoot = fc.tuple(
    fc.constantFrom("C:", "d:", "\\\\nas\\share"),
    fc.array(plain, { maxLength: 3 }),
  );
  const windowsDirectory = windowsRoot.map(([root, names]) => `${root}\\${names.join("\\")}`);

  it("what is mapped never leaves the manager's directory, on either kind of system", () => {
    fc.assert(
      fc.property(
        fc.oneof(posixRoot, windowsDirectory),
        fc.oneof(posixRoot, windowsDirectory),
        steps,
        (client, manager, more) => {
          const isWindows = !client.startsWith("/");
          const path = [client, ...more].join(isWindows ? "\\" : "/");
          const seen = mapped(path, [client, manager]);
          if (seen === path) return; // it was not mapped, or to itself
          const { resolve, relative, isAbsolute } = manager.startsWith("/") ? posix : win32;
          const within = relative(manager, resolve(seen));
          expect(within === ".." || /^\.\.[\\/]/.test(within) || isAbsolute(within)).toBe(false);
        },
      ),
    );
  });

  it("a path below a mapping goes there, and back by the mapping the other way round", () => {
    fc.assert(
      fc.property(
        fc.oneof(posixRoot, windowsDirectory),
        fc.oneof(posixRoot, windowsDirectory),
        fc.array(plain, { minLength: 1 }),
        (client, manager, names) => {
          const separatorOf = (path: string) => (path.startsWith("/") ? "/" : "\\");
          const [here, there] = [client, manager].map(
            (root) =>
              root.replace(/[\\/]$/, "") + separatorOf(root) + names.join(separatorOf(root)),
          ) as [string, string];
          expect(mapped(here, [client, manager])).toBe(there);
          expect(mapped(there, [manager, client])).toBe(here);
        },
      ),
    );
  });

  it("a POSIX path is mapped as it is resolved by POSIX itself", () => {
    fc.assert(
      fc.property(posixRoot, posixRoot, steps, (client, manager, more) => {
        const path = [client, ...more].join("/");
        const within = posix.relative(client, posix.normalize(path));
        const isBelow = within !== ".." && !within.startsWith("../");
        expect(mapped(path, [client, manager])).toBe(
          isBelow ? posix.join(manager, within).replace(/(?<=.)\/$/, "") : path,
        );
      }),
    );
  });

  it("Windows paths mean the same in whatever case, and with whatever separators", () => {
    fc.assert(
      fc.property(windowsDirectory, posixRoot, fc.array(plain), (client, manager, names) => {
        const path = [client, ...names].join("\\");
        const other = path.slice(0, 2) + path.slice(2).replaceAll("\\", "/");
        const seen = mapped(path, [client, manager]);
        expect(mapped(other, [client, manager])).toBe(seen);
        expect(mapped(path.toUpperCase(), [client, manager]).toLowerCase()).toBe(
          seen.toLowerCase(),
        );
      }),
    );
  });
});
