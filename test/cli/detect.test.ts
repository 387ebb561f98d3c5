import { access, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { detectionText } from "../../src/cli/detect.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";

describe("what people read", () => {
  it("says who was found and where the secret is from, and not the secret", () => {
    const text = detectionText({
      clients: [
        {
          name: "aria2",
          kind: "aria2",
          url: "http://127.0.0.1:6800",
          secret: "plain-secret",
          file: "/home/me/.aria2/aria2.conf",
          version: "1.36.0",
        },
        {
          name: "qbittorrent",
          kind: "qbittorrent",
          url: "http://127.0.0.1:8080",
          username: "admin\u001b[2J",
          file: "/home/me/qBittorrent.conf",
          missing: "its password, of which /home/me/qBittorrent.conf has only a hash",
          isSecretMissing: true,
        },
      ],
      notes: ["no NZBGet answers at http://127.0.0.1:6789, which /etc/nzbget.conf names"],
    });
    expect(text.split("\n")).toEqual([
      "NAME          KIND          URL                     USER        SECRET FROM                  VERSION",
      "aria2         aria2         http://127.0.0.1:6800   -           /home/me/.aria2/aria2.conf   1.36.0",
      "qbittorrent   qbittorrent   http://127.0.0.1:8080   admin\ufffd[2J   missing                      -",
      "",
      "qbittorrent: qBittorrent needs its password, of which /home/me/qBittorrent.conf has only a hash",
      "no NZBGet answers at http://127.0.0.1:6789, which /etc/nzbget.conf names",
    ]);
  });

  it("says so if nothing was found", () => {
    expect(detectionText({ clients: [], notes: [] })).toBe(
      "No download client that Haul knows answers on this host.",
    );
  });
});

describe("haul detect", () => {
  const SECRET = "plain-secret";
  let group: ProgramGroup;
  let aria2: Server;
  let url: string;
  let home: string;
  let output: string;
  /** Tokens that the aria2 got. */
  const tokens = new Set<string>();

  beforeAll(async () => {
    group = await createProgramGroup();
    aria2 = createServer(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      // As a real one does with what is for other kinds.
      if (!body.startsWith("{")) return void response.writeHead(404).end();
      const { id, method, params } = JSON.parse(body);
      if (params) tokens.add(params[0]);
      const isIn = params?.[0] === `token:${SECRET}`;
      const results: Record<string, object> = { "aria2.getVersion": { version: "1.36.0" } };
      const result = isIn
        ? { result: results[method] ?? {} }
        : { error: { code: 1, message: "Unauthorized" } };
      response.end(JSON.stringify({ jsonrpc: "2.0", id, ...result }));
    });
    await new Promise<void>((resolve) => aria2.listen(0, "127.0.0.1", resolve));
    const address = aria2.address();
    url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  });
  afterAll(async () => {
    aria2.close();
    await group.stop();
  });

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "detect-"));
    output = join(home, "conf", "haul.yaml");
    await mkdir(join(home, ".aria2"));
    await writeFile(
      join(home, ".aria2", "aria2.conf"),
      `enable-rpc=true\nrpc-listen-port=${new URL(url).port}\nrpc-secret=${SECRET}\n`,
    );
    tokens.clear();
  });

  const detect = (...args: string[]) =>
    group.run("haul", ["detect", "--output", output, ...args], { HOME: home });

  it("prints what it found, and without a terminal writes nothing and says how", async () => {
    const { code, stdout, stderr } = await detect();
    expect(code).toBe(0);
    expect(stdout).toContain(url);
    expect(stdout).toContain(join(home, ".aria2", "aria2.conf"));
    expect(stderr).toContain(`Nothing was written: say --yes to write ${output}.`);
    expect(stdout + stderr).not.toContain(SECRET);
    expect([...tokens]).toEqual([`token:${SECRET}`]);
    await expect(access(output)).rejects.toThrow("ENOENT");
  });

  it("writes with --yes, once, and says what is next", async () => {
    const { code, stdout, stderr } = await detect("--yes");
    expect(code).toBe(0);
    expect(stderr).toContain(`Wrote ${output}\n`);
    expect(stderr).toContain(`haul run --config ${output}`);
    expect(stdout + stderr).not.toContain(SECRET);
    const text = await readFile(output, "utf8");
    expect(text).toContain(`url: ${url}`);
    expect(text).not.toContain(SECRET);

    const again = await detect("--yes");
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/^haul: [^\n]+ is there already[^\n]+--force\n$/);
    expect((await detect("--yes", "--force")).code).toBe(0);
  });

  it("prints JSON without secrets", async () => {
    const { stdout } = await detect("--json");
    const { clients } = JSON.parse(stdout);
    expect(clients.find((client: { url: string }) => client.url === url)).toMatchObject({
      kind: "aria2",
      configuration: join(home, ".aria2", "aria2.conf"),
      hasSecret: true,
      version: "1.36.0",
    });
    expect(stdout).not.toContain(SECRET);
  });
});
