import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";
import { freePort } from "../support/stack.js";

let group: ProgramGroup;

beforeAll(async () => {
  group = await createProgramGroup();
});

afterAll(() => group.stop());

describe("usage", () => {
  test("--help names every option's variable", async () => {
    const { code, stdout } = await group.run("haul", ["run", "--help"]);
    expect(code).toBe(0);
    for (const variable of [
      "KIND",
      "URL",
      "NAME",
      "USERNAME",
      "PASSWORD",
      "API_KEY",
      "LISTEN",
      "DATA",
    ])
      expect(stdout).toContain(`HAUL_${variable}`);
  });

  test.each([["KIND"], ["URL"], ["USERNAME"], ["PASSWORD_FILE"], ["API_KEY_FILE"]])(
    "HAUL_%s does not go with a configuration file",
    async (name) => {
      const value = name === "KIND" ? "aria2" : "http://127.0.0.1:1";
      const args = ["run", "--config", "none.yaml"];
      const { code, stderr } = await group.run("haul", args, { [`HAUL_${name}`]: value });
      expect([code, stderr]).toEqual([2, expect.stringContaining("--config says which")]);
    },
  );

  test("HAUL_PASSWORD does: the file may name it", async () => {
    const file = join(group.directory, "named.yaml");
    const client = "{ name: a, kind: sabnzbd, url: 'http://a', password_env: HAUL_PASSWORD }";
    await writeFile(file, `clients:\n  - ${client}\n  - name: b\n`);
    const { stderr } = await group.run("haul", ["run", "--config", file], { HAUL_PASSWORD: "x" });
    // With another mistake, for it would go on running.
    expect(stderr).toMatch(/clients\[1\]\.kind: is missing/);
    expect(stderr).not.toContain("password_env");
  });

  test.each([
    { args: ["run", "--kind", "aria2"], says: "--kind needs --url" },
    { args: ["run", "--url", "http://127.0.0.1:1"], says: "--url needs --kind" },
    { args: ["run", "--username", "me"], says: "needs --kind and --url" },
    { args: ["run", "--url", "127.0.0.1:6800"], says: "Give an http or https URL" },
    { args: ["run", "--listen", "9797"], says: "Give HOST:PORT" },
    { args: ["run", "--name", " "], says: "not empty" },
    { args: ["run", "--kind", "aria2", "--url", "http://0.0.0.0:1"], says: "others cannot reach" },
    { args: ["run", "--path-mapping", "downloads=/data"], says: "both absolute paths" },
    { args: ["probe"], says: "--kind" },
  ])("$args is wrong usage: 2, and says what to do", async ({ args, says }) => {
    const { code, stdout, stderr } = await group.run("haul", args);
    expect(stderr).toMatch(/^haul: [^\n]+\n$/);
    expect(stderr).toContain(says);
    expect(code).toBe(2);
    expect(stdout).toBe("");
  });

  test("a URL with user-info is refused without repeating the password", async () => {
    const args = ["run", "--kind", "aria2", "--url", "http://me:plain-secret@nas:6800"];
    const { code, stderr } = await group.run("haul", args);
    expect(code).toBe(2);
    expect(stderr).toContain("--password-file");
    expect(stderr).not.toContain("plain-secret");
  });

  test("a password and an API key are one too many", async () => {
    const args = ["probe", "--kind", "aria2", "--url", "http://127.0.0.1:1"];
    const env = { HAUL_PASSWORD: "plain-secret", HAUL_API_KEY: "plain-secret" };
    const { code, stderr } = await group.run("haul", args, env);
    expect(code).toBe(2);
    expect(stderr).toContain("not both");
    expect(stderr).not.toContain("plain-secret");
  });

  test("a password file that is not there is one sentence and 1", async () => {
    const file = join(group.directory, "no-such-file");
    const args = [
      "probe",
      "--kind",
      "qbittorrent",
      "--url",
      "http://127.0.0.1:1",
      "--username",
      "me",
    ];
    const { code, stderr } = await group.run("haul", [...args, "--password-file", file]);
    expect(code).toBe(1);
    expect(stderr).toBe(`haul: ${file} cannot be read (ENOENT): check its path and permissions\n`);
  });
});

describe("run", () => {
  test("serves without a Pulse, and SIGTERM ends it with 0", async () => {
    const port = await freePort();
    const haul = group.start("haul", ["run"], {
      HAUL_LISTEN: "127.0.0.1:0",
      PULSE_URL: `http://127.0.0.1:${port}`,
      XDG_STATE_HOME: join(group.directory, "alone"),
      HAUL_NAME: "box",
    });
    const { url } = await haul.line("haul.listening");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const key = join(group.directory, "alone", "haul", "box", "api.key");
    expect((await stat(key)).mode & 0o777).toBe(0o600);
    haul.kill("SIGTERM");
    expect(await haul.exit).toEqual({ code: 0, signal: null });
  });

  test("finds the token that Pulse makes later, and registers", async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const env = {
      PULSE_DATA: join(group.directory, "later"),
      PULSE_LISTEN: listen,
      PULSE_URL: `http://${listen}`,
      HAUL_LISTEN: "127.0.0.1:0",
      HAUL_DATA: join(group.directory, "early"),
    };
    const haul = group.start("haul", ["run"], env);
    await haul.line("haul.listening");
    const pulse = group.start("pulse", ["serve"], env);
    await pulse.line("pulse.listening");
    await haul.line("haul.registered");
    const token = (await readFile(join(env.PULSE_DATA, "tokens", "service.token"), "utf8")).trim();
    expect(haul.stdout + pulse.stdout).not.toContain(token);
    await haul.stop();
    await pulse.stop();
  });

  test("says which mistake it is when a second one has the same state directory", async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const env = {
      PATH: "", // no aria2c: they register themselves
      PULSE_DATA: join(group.directory, "twins-pulse"),
      PULSE_LISTEN: listen,
      PULSE_URL: `http://${listen}`,
      HAUL_LISTEN: "127.0.0.1:0",
      HAUL_DATA: join(group.directory, "twins"),
    };
    const pulse = group.start("pulse", ["serve"], env);
    await pulse.line("pulse.listening");
    const first = group.start("haul", ["run"], env);
    await first.line("haul.registered");
    const second = group.start("haul", ["run"], env);
    const { detail } = await first.line("haul.superseded");
    expect(detail).toContain("two processes share one identity");
    await second.line("haul.registered");
    expect(second.lines.some(({ msg }) => msg === "haul.superseded")).toBe(false);
    for (const program of [first, second, pulse])
      expect(await program.stop()).toEqual({ code: 0, signal: null });
  });

  test("shows no password in its log or in the list of processes", async () => {
    const haul = group.start(
      "haul",
      ["run", "--kind", "qbittorrent", "--url", `http://127.0.0.1:${await freePort()}`],
      {
        HAUL_LISTEN: "127.0.0.1:0",
        HAUL_DATA: join(group.directory, "secretive"),
        HAUL_USERNAME: "me",
        HAUL_PASSWORD: "plain-secret",
        HAUL_LOG_LEVEL: "debug",
      },
    );
    await haul.line("haul.listening");
    expect(await readFile(`/proc/${haul.pid}/cmdline`, "utf8")).not.toContain("plain-secret");
    await haul.stop();
    expect(haul.stdout + haul.stderr).not.toContain("plain-secret");
  });

  test("a port in use is one sentence and 1", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await group.run("haul", ["run", "--listen", `127.0.0.1:${port}`]);
    taken.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^haul: [^\n]+\n$/);
    expect(stderr).toContain(String(port));
  });
});

describe("rotate-key", () => {
  test("--help names every option's variable", async () => {
    const { code, stdout } = await group.run("haul", ["rotate-key", "--help"]);
    expect(code).toBe(0);
    for (const variable of ["HAUL_NAME", "HAUL_DATA", "HAUL_API_URL", "HAUL_OVERLAP"])
      expect(stdout).toContain(variable);
  });

  test.each(["0s", "8d", "soon"])("an overlap of %s is wrong usage", async (overlap) => {
    const { code, stderr } = await group.run("haul", ["rotate-key", "--overlap", overlap]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^haul: [^\n]*--overlap[^\n]*\n$/);
  });

  test("of a Haul that has never run is one sentence and 1", async () => {
    const data = join(group.directory, "never");
    const { code, stderr } = await group.run("haul", ["rotate-key", "--data", data]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `haul: there is no api.key in ${data}: give the --name or the --data of a Haul that has run\n`,
    );
  });

  test("sends the key to nothing that does not answer as a Haul, which may have its port now", async () => {
    const data = join(group.directory, "crashed");
    await mkdir(data);
    const heard: unknown[] = [];
    const other = createHttpServer((request, response) => {
      heard.push(request.url, request.headers["x-api-key"]);
      response.end("<html>");
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const url = `http://127.0.0.1:${(other.address() as { port: number }).port}`;
    await writeFile(join(data, "api.key"), "the-key-of-this-haul\n", { mode: 0o600 });
    await writeFile(join(data, "api.url"), `${url}\n`);
    const given = await group.run("haul", ["rotate-key", "--data", data, "--url", url]);
    const found = await group.run("haul", ["rotate-key", "--data", data]);
    other.close();
    expect([given.code, found.code]).toEqual([1, 0]);
    expect(given.stderr).toMatch(/^haul: no Haul answers at [^\n]*\n$/);
    expect(found.stdout).toMatch(/^no Haul runs with this state directory: Haul has a new API key/);
    expect([...new Set(heard)]).toEqual(["/health", undefined]);
    expect(await readFile(join(data, "api.key.old"), "utf8")).toContain("the-key-of-this-haul");
  });
});

describe("probe", () => {
  test("of one that answers: what it says in lines, or as JSON, and 0", async () => {
    const results: Record<string, object> = {
      "aria2.getVersion": { version: "1.36.0" },
      "aria2.getGlobalStat": { numActive: "1", numWaiting: "0", downloadSpeed: "2048" },
      "aria2.getGlobalOption": { dir: "/downloads" },
    };
    const server = createHttpServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { method } = JSON.parse(body);
      response.end(JSON.stringify({ jsonrpc: "2.0", id: "haul", result: results[method] }));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const args = ["probe", "--kind", "aria2", "--url", url];
    const text = await group.run("haul", args, { HAUL_API_KEY: "plain-secret" });
    const json = await group.run("haul", [...args, "--json"], { HAUL_API_KEY: "plain-secret" });
    server.close();
    expect([text.code, json.code]).toEqual([0, 0]);
    for (const line of [
      /^outcome +ok$/m,
      /^version +1\.36\.0$/m,
      /^download +2\.0 KiB\/s$/m,
      /^directory +\/downloads$/m,
    ])
      expect(text.stdout).toMatch(line);
    expect(text.stdout).toMatch(/^free +unknown$/m);
    expect(JSON.parse(json.stdout)).toMatchObject({ outcome: "ok", load: { active: 1 } });
    expect(text.stdout + json.stdout).not.toContain("plain-secret");
  });

  test("of a kind that Haul does not know: names those it does, and 2", async () => {
    const args = ["probe", "--kind", "gopher", "--url", "http://127.0.0.1:1"];
    const { code, stderr } = await group.run("haul", args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^haul: [^\n]*Allowed choices are aria2, deluge, [^\n]*\n$/);
  });

  test("of a download client that does not answer: says so and ends with 1", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const { code, stdout } = await group.run("haul", ["probe", "--kind", "aria2", "--url", url]);
    expect(code).toBe(1);
    expect(stdout).toContain("unreachable");
    const json = await group.run("haul", ["probe", "--kind", "aria2", "--url", url, "--json"]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ outcome: "unreachable" });
  });
});
