import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type Places, readConfigurations } from "../../../src/haul/detect/configuration-files.js";

let root: string;
let places: Places;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "detect-"));
  places = { home: join(root, "home/me"), root };
});

async function put(path: string, text: string): Promise<string> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

async function found(): Promise<string[]> {
  const { found } = await readConfigurations(places);
  return found.map(({ kind, file, url }) => `${kind} ${file.slice(root.length)} ${url}`);
}

const ARIA2 = "enable-rpc=true\n";
const webUi = (port: number) => `[Preferences]\nWebUI\\Port=${port}\n`;

describe("configuration files", () => {
  it("of a host without any are none", async () => {
    expect(await readConfigurations(places)).toEqual({ found: [], closed: [] });
  });

  it("are found at home, with this user's own before those of services", async () => {
    await put("var/lib/qbittorrent-nox/qBittorrent/config/qBittorrent.conf", webUi(8082));
    await put("var/lib/qbittorrent/.config/qBittorrent/qBittorrent.conf", webUi(8081));
    await put("home/me/.config/qBittorrent/qBittorrent.conf", webUi(8080));
    expect(await found()).toEqual([
      "qbittorrent /home/me/.config/qBittorrent/qBittorrent.conf http://127.0.0.1:8080",
      "qbittorrent /var/lib/qbittorrent/.config/qBittorrent/qBittorrent.conf http://127.0.0.1:8081",
      "qbittorrent /var/lib/qbittorrent-nox/qBittorrent/config/qBittorrent.conf http://127.0.0.1:8082",
    ]);
  });

  it("of each kind are found where packages and programs put them", async () => {
    await put("etc/transmission-daemon/settings.json", "{}");
    await put("var/lib/deluged/config/web.conf", '{"file":2}{"pwd_sha1":"x"}');
    await put("home/me/.sabnzbd/sabnzbd.ini", "[misc]\napi_key = k\n");
    await put("etc/nzbget.conf", "ControlPort=6789\n");
    await put("home/me/.config/aria2/aria2.conf", ARIA2);
    expect(await found()).toEqual([
      "transmission /etc/transmission-daemon/settings.json http://127.0.0.1:9091",
      "deluge /var/lib/deluged/config/web.conf http://127.0.0.1:8112",
      "sabnzbd /home/me/.sabnzbd/sabnzbd.ini http://127.0.0.1:8080/sabnzbd",
      "nzbget /etc/nzbget.conf http://127.0.0.1:6789",
      "aria2 /home/me/.config/aria2/aria2.conf http://127.0.0.1:6800",
    ]);
  });

  it("are read once, however many names they have", async () => {
    const file = await put("etc/transmission-daemon/settings.json", "{}");
    const home = join(root, "var/lib/transmission-daemon");
    await mkdir(join(home, ".config/transmission-daemon"), { recursive: true });
    await symlink(file, join(home, ".config/transmission-daemon/settings.json"));
    await symlink(".config/transmission-daemon", join(home, "info"));
    expect(await found()).toHaveLength(1);
  });

  it("know the home of the service whose they are", async () => {
    await put("var/lib/nzbget/.nzbget", "ControlPort=1\nDestDir=~/done\n");
    const [only] = (await readConfigurations(places)).found;
    expect(only?.downloadDirectory).toBe(join(root, "var/lib/nzbget/done"));
  });

  it("that are no files, or very long, are left alone", async () => {
    await mkdir(join(places.home, ".nzbget"), { recursive: true });
    await put("home/me/.aria2/aria2.conf", ARIA2 + "#".repeat(5 * 1024 * 1024));
    expect(await readConfigurations(places)).toEqual({ found: [], closed: [] });
  });

  it("that lead round in a circle are told, and do no harm", async () => {
    await mkdir(places.home, { recursive: true });
    const file = join(places.home, ".nzbget");
    await symlink(file, file);
    expect((await readConfigurations(places)).closed).toEqual([
      { file, kind: "nzbget", code: "ELOOP" },
    ]);
  });
});
