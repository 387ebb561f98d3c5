import { chmod, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type HaulConfig, readConfig } from "../../../src/haul/config/index.js";
import { StartError } from "../../../src/haul/start-error.js";
import { type ConfigDirectory, clientWith, configDirectory } from "./config-directory.js";

let directory: ConfigDirectory;
beforeEach(async () => {
  directory = await configDirectory();
});

async function read(yaml: string, env = {}, name = "haul.yaml"): Promise<HaulConfig> {
  return readConfig(await directory.put(name, yaml), env);
}

/** Of the one client of `clientWith`. */
async function settings(...lines: string[]) {
  const { clients } = await read(clientWith(...lines));
  return clients[0];
}

it("gives all that the file says, under the names that Haul has for it", async () => {
  const password = await directory.put("qb-password", " pass word \n");
  const config = await read(
    `
pulse: pulse:9696,http://other
token_file: pulse-token
listen: "[::1]:9797"
clients:
  - name: qBittorrent on the NAS
    kind: qbittorrent
    url: http://127.0.0.1:8080/qb
    username: admin
    password_file: qb-password
    enabled: true
    vpn: { container: gluetun, check: ip link show tun0 }
    min_free: 5GiB
    stalled_after: 30m
    download_directory: /downloads
    path_mappings:
      - { client: /downloads, manager: /data/downloads }
      - { client: 'C:\\Downloads', manager: \\\\nas\\media }
  - name: aria2
    kind: aria2
    url: http://nas:6800
    api_key_env: ARIA2
    advertise_url: https://seedbox.example/aria2
`,
    { ARIA2: "rpc-secret", OTHER: "no" },
  );
  expect(config).toEqual({
    pulse: "http://pulse:9696,http://other:80",
    tokenFile: join(directory.path, "pulse-token"),
    listen: { host: "::1", port: 9797 },
    clients: [
      {
        name: "qBittorrent on the NAS",
        kind: "qbittorrent",
        url: "http://127.0.0.1:8080/qb",
        username: "admin",
        secret: " pass word ",
        secretFile: password,
        advertiseHost: "gluetun",
        vpnCheck: "ip link show tun0",
        minFreeBytes: 5 * 2 ** 30,
        stalledAfterMs: 30 * 60_000,
        downloadDirectory: "/downloads",
        pathMappings: [
          { clientPath: "/downloads", managerPath: "/data/downloads" },
          { clientPath: "C:\\Downloads", managerPath: "\\\\nas\\media" },
        ],
      },
      {
        name: "aria2",
        kind: "aria2",
        url: "http://nas:6800",
        secret: "rpc-secret",
        advertiseUrl: "https://seedbox.example/aria2",
      },
    ],
    warnings: [],
    files: expect.any(Map),
  });
  expect([...config.files.keys()]).toEqual([join(directory.path, "haul.yaml"), password]);
});

it("gives nothing for what the file leaves out", async () => {
  expect(await settings()).toEqual({
    name: "qb",
    kind: "qbittorrent",
    url: "http://127.0.0.1:8080",
  });
  expect(Object.keys(await read(clientWith()))).toEqual(["clients", "warnings", "files"]);
});

it("takes JSON, with tabs too, and a $schema for editors", async () => {
  const clients = [{ name: "qb", kind: "qbittorrent", url: "http://nas:8080" }];
  const json = JSON.stringify({ $schema: "./haul.schema.json", clients }, undefined, "\t");
  expect((await read(json, {}, "haul.json")).clients).toEqual(clients);
});

it("takes aliases, for what several clients share", async () => {
  const { clients } = await read(`
clients:
  - { name: a, kind: aria2, url: http://a, path_mappings: &media [{ client: /d, manager: /data }] }
  - { name: b, kind: aria2, url: http://b, path_mappings: *media }
`);
  expect(clients[1]?.pathMappings).toEqual([{ clientPath: "/d", managerPath: "/data" }]);
});

it("leaves out clients that are not enabled, and does not look for their secrets", async () => {
  expect((await read(clientWith("enabled: false", "password_env: NOT_SET"))).clients).toEqual([]);
});

it.each([
  ["0", 0],
  ["1024", 1_024],
  ["'5GiB'", 5 * 2 ** 30],
  ["5 GiB", 5 * 2 ** 30],
  ["1.5TB", 1.5e12],
  ["500MB", 5e8],
  ["12KiB", 12_288],
  ["7B", 7],
])("the size %s is %d bytes", async (text, bytes) => {
  expect(await settings(`min_free: ${text}`)).toMatchObject({ minFreeBytes: bytes });
});

it.each([
  ["0", 0],
  ["30m", 1_800_000],
  ["90s", 90_000],
])("the duration %s is %d ms", async (text, ms) => {
  expect(await settings(`stalled_after: ${text}`)).toMatchObject({ stalledAfterMs: ms });
});

describe("a file that cannot be read", () => {
  it("is named with what to do, and is watched for", async () => {
    const path = join(directory.path, "none.yaml");
    const error = await readConfig(path, {}).catch((error) => error);
    expect(error).toBeInstanceOf(StartError);
    expect(error.message).toBe(`${path}: cannot be read (ENOENT): check its path and permissions`);
    expect([...error.files.keys()]).toEqual([path]);
  });

  it("is a directory, a device or a pipe", async () => {
    await mkdir(join(directory.path, "folder"));
    await symlink("/dev/zero", join(directory.path, "zero"));
    for (const name of ["folder", "zero"])
      await expect(readConfig(join(directory.path, name), {})).rejects.toThrow(
        "is no ordinary file, and could not be read again when it changes: give one",
      );
  });

  it("is larger than any configuration", async () => {
    expect(await directory.problems(`# ${"x".repeat(1_048_576)}`)).toEqual([
      "haul.yaml: has more than 1048576 bytes: leave out what is none of it",
    ]);
  });
});

describe("a secret", () => {
  it("that cannot be had is told at its key, without file, variable and value", async () => {
    await directory.put("empty", "\n");
    await directory.put("lines", "hunter2\nhunter3\n");
    await mkdir(join(directory.path, "folder"));
    const yaml = [
      "clients:",
      '  - { name: "1", kind: aria2, url: "http://1", password_file: hunter2 }',
      '  - { name: "2", kind: aria2, url: "http://2", api_key_file: empty }',
      '  - { name: "3", kind: aria2, url: "http://3", password_file: lines }',
      '  - { name: "4", kind: aria2, url: "http://4", api_key_file: folder }',
      '  - { name: "5", kind: aria2, url: "http://5", password_env: hunter2 }',
      '  - { name: "6", kind: aria2, url: "http://6", api_key_env: BELL }',
    ].join("\n");
    const lines = await directory.problems(yaml, { BELL: "hunter2\u0007" });
    expect(lines).toEqual([
      "haul.yaml:2:63: clients[0].password_file: names a file that cannot be read (ENOENT): check its path and permissions",
      "haul.yaml:3:62: clients[1].api_key_file: names a file that is empty: put the secret into it",
      "haul.yaml:4:63: clients[2].password_file: names a file that has more than one line: put only the secret into it",
      "haul.yaml:5:62: clients[3].api_key_file: names a file that is no ordinary file: put the secret into one",
      "haul.yaml:6:62: clients[4].password_env: names a variable that is not set: set it where Haul is started",
      "haul.yaml:7:61: clients[5].api_key_env: names a variable with a secret that must not contain control characters",
    ]);
    expect(lines.join()).not.toContain("hunter");
  });

  it("that everybody may read is used, with a warning at its key", async () => {
    const file = await directory.put("password", "hunter2\n");
    await chmod(file, 0o644);
    const { clients, warnings } = await read(clientWith("password_file: password"));
    expect(clients[0]?.secret).toBe("hunter2");
    expect(warnings).toEqual([
      `${join(directory.path, "haul.yaml")}:5:20: clients[0].password_file: names a secret that every user of this host may read: "chmod 600 ${file}"`,
    ]);
  });

  it("is looked for though something else is wrong, so that all is told at once, and its file is watched", async () => {
    await directory.put(
      "haul.yaml",
      `${clientWith("password_file: none")}  - name: other\npuls: x\n`,
    );
    const error = await readConfig(join(directory.path, "haul.yaml"), {}).catch((error) => error);
    expect(error.message.split("\n").map((line: string) => line.split(": ")[1])).toEqual([
      "clients[0].password_file",
      "clients[1].kind",
      "clients[1].url",
      "puls",
    ]);
    expect([...error.files.keys()].at(-1)).toBe(join(directory.path, "none"));
  });
});
