import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { DetectedClient } from "../../../src/haul/detect/detect.js";
import { writeConfig } from "../../../src/haul/detect/write-config.js";

const ARIA2: DetectedClient = {
  name: "aria2",
  kind: "aria2",
  url: "http://127.0.0.1:6800",
  secret: "plain-secret",
  file: "/home/me/.aria2/aria2.conf",
  version: "1.36.0",
  downloadDirectory: "/dl",
};
const QBITTORRENT: DetectedClient = {
  name: "qbittorrent",
  kind: "qbittorrent",
  url: "http://127.0.0.1:8080",
  username: "true",
  missing: "its password, of which /home/me/qBittorrent.conf has only a hash",
  isSecretMissing: true,
};

let directory: string;
let output: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "write-config-"));
  output = join(directory, "haul.yaml");
});

const write = (clients: readonly DetectedClient[], isForced = false) =>
  writeConfig(output, clients, { isForced });
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
const secretFile = (name: string) => join(directory, "secrets", name);

describe("a configuration that is written", () => {
  it("names the file of a secret, which is there, for its owner alone", async () => {
    expect((await write([ARIA2])).files).toEqual([output, secretFile("aria2")]);
    expect(parse(await readFile(output, "utf8"))).toEqual({
      clients: [
        {
          name: "aria2",
          kind: "aria2",
          url: "http://127.0.0.1:6800",
          api_key_file: "secrets/aria2",
          download_directory: "/dl",
          enabled: true,
        },
      ],
    });
    expect(await readFile(secretFile("aria2"), "utf8")).toBe("plain-secret\n");
    expect([await modeOf(output), await modeOf(secretFile("aria2"))]).toEqual(["600", "600"]);
    expect(await modeOf(join(directory, "secrets"))).toBe("700");
  });

  it("holds no secret", async () => {
    await write([ARIA2, QBITTORRENT]);
    expect(await readFile(output, "utf8")).not.toContain("plain-secret");
  });

  it("has what is unfinished switched off, with a comment that says what to do", async () => {
    await write([QBITTORRENT]);
    const text = await readFile(output, "utf8");
    expect(text).toContain(
      [
        "    password_file: secrets/qbittorrent",
        "    # qBittorrent needs its password, of which /home/me/qBittorrent.conf has only a hash.",
        "    # Write it into that file (chmod 600), and then say true here.",
        "    enabled: false",
      ].join("\n"),
    );
    expect(parse(text).clients[0]).toMatchObject({ username: "true", enabled: false });
    await expect(readdir(join(directory, "secrets"))).rejects.toThrow("ENOENT");
  });

  it("says what to mend where no secret is missing", async () => {
    await write([{ ...ARIA2, missing: "aria2 1.2 is too old:\nupdate it" }]);
    const text = await readFile(output, "utf8");
    expect(text).toContain(
      "# aria2 1.2 is too old: update it.\n    # Mend that, and then say true here.",
    );
    expect(parse(text).clients[0].enabled).toBe(false);
  });

  it("names no secret file for a client that asks nobody for one", async () => {
    const { secret: _, ...open } = ARIA2;
    await write([open]);
    expect(parse(await readFile(output, "utf8")).clients[0]).not.toHaveProperty("api_key_file");
  });

  it("says what is there, however it is written", async () => {
    const username = 'a: "b" # c\u0085\n- d';
    await write([{ ...QBITTORRENT, username, url: "http://[::1]:8080/ä b" }]);
    expect(parse(await readFile(output, "utf8")).clients[0]).toMatchObject({
      username,
      url: "http://[::1]:8080/ä b",
    });
  });
});

describe("what is there already", () => {
  it("is not replaced: a configuration", async () => {
    await writeFile(output, "mine");
    await expect(write([ARIA2])).rejects.toThrow(`${output} is there already`);
    expect(await readFile(output, "utf8")).toBe("mine");
    expect(await readdir(directory)).toEqual(["haul.yaml"]);
  });

  it("is not replaced: a secret, and then nothing else is written", async () => {
    await mkdir(join(directory, "secrets"));
    await writeFile(secretFile("aria2"), "mine");
    await expect(write([ARIA2])).rejects.toThrow(`${secretFile("aria2")} is there already`);
    expect(await readdir(directory)).toEqual(["secrets"]);
  });

  it("is replaced if that is wanted", async () => {
    await write([QBITTORRENT]);
    await write([ARIA2], true);
    expect(parse(await readFile(output, "utf8")).clients[0].name).toBe("aria2");
  });
});

it("says which file cannot be written, and what to do", async () => {
  await writeFile(join(directory, "file"), "");
  output = join(directory, "file", "haul.yaml");
  await expect(write([ARIA2])).rejects.toThrow(/ENOTDIR.*--output/);
});
