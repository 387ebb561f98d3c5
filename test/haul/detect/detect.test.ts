import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { ClientTarget, Probe } from "../../../src/adapters/adapter.js";
import { type Asker, detectClients } from "../../../src/haul/detect/detect.js";

const AUTH: Probe = { outcome: "authentication-failed", message: "refused" };
const ok = (
  credentials: "accepted" | "not-asked" = "accepted",
  downloadDirectory?: string,
): Probe => ({
  outcome: "ok",
  message: "",
  version: "1.2.3",
  load: {},
  credentials,
  ...(downloadDirectory !== undefined && { downloadDirectory }),
});

let home: string;
/** What answers where, and what it says to a probe. */
let answers: Record<string, { readonly kind: string; readonly probe: Probe }>;
let probed: ClientTarget[];
let recognised: string[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "detect-"));
  answers = {};
  probed = [];
  recognised = [];
});

const asker: Asker = {
  isListening: async (url) =>
    Object.keys(answers).some((each) => new URL(each).origin === new URL(url).origin),
  async recognise(url) {
    recognised.push(url);
    return answers[url]?.kind;
  },
  async probe(target) {
    probed.push(target);
    return answers[target.url]?.probe ?? AUTH;
  },
};

async function put(path: string, text: string): Promise<string> {
  const file = join(home, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

const detect = () => detectClients({ home, root: join(home, "root") }, asker);

describe("what listens on a default port", () => {
  it("is nothing on a quiet host, and nothing is asked", async () => {
    expect(await detect()).toEqual({ clients: [], notes: [] });
    expect(recognised).toEqual([]);
  });

  it("is found without a configuration file, and probed without credentials", async () => {
    answers["http://127.0.0.1:8080"] = { kind: "qbittorrent", probe: AUTH };
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: AUTH };
    expect((await detect()).clients).toEqual([
      {
        name: "qbittorrent",
        kind: "qbittorrent",
        url: "http://127.0.0.1:8080",
        missing: "its user name and password",
        isSecretMissing: true,
      },
      {
        name: "aria2",
        kind: "aria2",
        url: "http://127.0.0.1:6800",
        missing: "its RPC secret",
        isSecretMissing: true,
      },
    ]);
    expect(probed).toEqual([
      { kind: "qbittorrent", url: "http://127.0.0.1:8080" },
      { kind: "aria2", url: "http://127.0.0.1:6800" },
    ]);
  });

  it("needs nothing if it asks nobody for a secret", async () => {
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: ok() };
    expect((await detect()).clients).toEqual([
      { name: "aria2", kind: "aria2", url: "http://127.0.0.1:6800", version: "1.2.3" },
    ]);
  });

  it("needs a password for managers, if only this host gets in without", async () => {
    answers["http://127.0.0.1:8080"] = { kind: "qbittorrent", probe: ok("not-asked") };
    expect((await detect()).clients[0]).toMatchObject({
      version: "1.2.3",
      missing: "its password, for which it asks others than this host",
    });
  });

  it("is named by its kind, and numbered", async () => {
    for (const port of [8080, 8085, 8090])
      answers[`http://127.0.0.1:${port}`] = { kind: "qbittorrent", probe: AUTH };
    expect((await detect()).clients.map(({ name }) => name)).toEqual([
      "qbittorrent",
      "qbittorrent-2",
      "qbittorrent-3",
    ]);
  });

  it("is no download client that can be fronted if it is a Haul, or not known", async () => {
    answers["http://127.0.0.1:8080"] = { kind: "haul", probe: ok() };
    answers["http://127.0.0.1:9091"] = { kind: "router", probe: ok() };
    expect(await detect()).toEqual({ clients: [], notes: [] });
    expect(probed).toEqual([]);
  });

  it.each(["unreachable", "banned", "unsupported-version"] as const)(
    "is told with what it says if it is %s",
    async (outcome) => {
      answers["http://127.0.0.1:8080"] = {
        kind: "qbittorrent",
        probe: { outcome, message: "why" },
      };
      const [client] = (await detect()).clients;
      expect(client).toMatchObject({ missing: "why" });
      expect(client).not.toHaveProperty("isSecretMissing");
    },
  );
});

describe("what a configuration file describes", () => {
  it("is probed once, with the secret from it", async () => {
    const file = await put(
      ".aria2/aria2.conf",
      "enable-rpc=true\nrpc-listen-port=6801\nrpc-secret=x\ndir=/dl",
    );
    answers["http://127.0.0.1:6801"] = { kind: "aria2", probe: ok() };
    expect(await detect()).toEqual({
      clients: [
        {
          name: "aria2",
          kind: "aria2",
          url: "http://127.0.0.1:6801",
          secret: "x",
          file,
          version: "1.2.3",
          downloadDirectory: "/dl",
        },
      ],
      notes: [],
    });
    expect(probed).toEqual([{ kind: "aria2", url: "http://127.0.0.1:6801", secret: "x" }]);
  });

  it("needs no directory that the client tells itself", async () => {
    await put(".aria2/aria2.conf", "enable-rpc=true\nrpc-secret=x\ndir=/dl");
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: ok("accepted", "/told") };
    expect((await detect()).clients[0]).not.toHaveProperty("downloadDirectory");
  });

  it("with a hash of a password is not logged in to, but has a user", async () => {
    const file = await put(
      ".config/qBittorrent/qBittorrent.conf",
      "[Preferences]\nWebUI\\Username=me\n",
    );
    answers["http://127.0.0.1:8080"] = { kind: "qbittorrent", probe: AUTH };
    expect((await detect()).clients).toEqual([
      {
        name: "qbittorrent",
        kind: "qbittorrent",
        url: "http://127.0.0.1:8080",
        username: "me",
        file,
        missing: `its password, of which ${file} has only a hash`,
        isSecretMissing: true,
      },
    ]);
    expect(probed).toEqual([{ kind: "qbittorrent", url: "http://127.0.0.1:8080" }]);
  });

  it("may have another secret than the client, which is tried once", async () => {
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: AUTH };
    const file = await put(".aria2/aria2.conf", "enable-rpc=true\nrpc-secret=old\n");
    const { clients } = await detect();
    expect(clients[0]).toMatchObject({
      missing: `another RPC secret than the one in ${file}, which it refuses`,
    });
    expect(probed).toHaveLength(1);
  });

  it("does not answer: that is a note, and no client", async () => {
    const file = await put(".aria2/aria2.conf", "enable-rpc=true\nrpc-secret=plain-secret\n");
    const detection = await detect();
    expect(detection).toEqual({
      clients: [],
      notes: [`no aria2 answers at http://127.0.0.1:6800, which ${file} names`],
    });
  });

  it("cannot be read: that is a note, one for each kind", async () => {
    const files = [".nzbget", "nzbget.conf"].map((name) => join(home, name));
    for (const file of files) await symlink(file, file); // a circle
    expect((await detect()).notes).toEqual([
      `${files[0]}, where NZBGet may have its configuration, cannot be read (ELOOP): run this as a user who may`,
    ]);
  });

  it("gives no secret to a program of another kind at its address", async () => {
    await put(".nzbget", "ControlPort=8080\nControlPassword=plain-secret\n");
    answers["http://127.0.0.1:8080"] = { kind: "qbittorrent", probe: AUTH };
    const { clients, notes } = await detect();
    expect(clients.map(({ kind, secret }) => [kind, secret])).toEqual([["qbittorrent", undefined]]);
    expect(notes).toHaveLength(1);
    expect(JSON.stringify(probed)).not.toContain("plain-secret");
  });

  it("of two files for one address the first is tried, and no other", async () => {
    await put(".aria2/aria2.conf", "enable-rpc=true\nrpc-secret=first\n");
    await put("root/etc/aria2/aria2.conf", "enable-rpc=true\nrpc-secret=second\n");
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: AUTH };
    expect((await detect()).clients).toHaveLength(1);
    expect(probed.map(({ secret }) => secret)).toEqual(["first"]);
  });

  it("needs no secret if it says that nobody does", async () => {
    await put(".aria2/aria2.conf", "enable-rpc=true\n");
    answers["http://127.0.0.1:6800"] = { kind: "aria2", probe: ok("not-asked") };
    expect((await detect()).clients[0]).not.toHaveProperty("missing");
  });
});
