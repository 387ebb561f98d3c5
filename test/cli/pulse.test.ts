import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExplainServiceResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { connectPulse } from "../../src/client/index.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import {
  createProgramGroup,
  type ProgramGroup,
  type RunningProgram,
} from "../support/processes.js";
import { LONG_TTL } from "../support/pulse.js";

let group: ProgramGroup;
let server: RunningProgram;
let url: string;
let data: string;

beforeAll(async () => {
  group = await createProgramGroup();
  data = join(group.directory, "data");
  server = group.start("pulse", ["serve", "--listen", "127.0.0.1:0", "--data", data]);
  url = String((await server.line("pulse.listening")).url);
});

afterAll(() => group.stop());

/** A client command against the running Pulse. */
function pulse(...args: string[]) {
  return group.run("pulse", args, { PULSE_URL: url, PULSE_DATA: data });
}

function expectOneSentence(stderr: string): void {
  expect(stderr).toMatch(/^pulse: [^\n]+\n$/);
  expect(stderr).not.toMatch(/ {4}at |\.ts:\d+/);
}

describe("usage", () => {
  test("--help lists the commands and ends with 0", async () => {
    const { code, stdout } = await group.run("pulse", ["--help"]);
    expect(code).toBe(0);
    for (const command of ["serve", "services", "clients", "token"])
      expect(stdout).toContain(command);
  });

  test("--version is the package's", async () => {
    const { version } = JSON.parse(await readFile("package.json", "utf8"));
    expect((await group.run("pulse", ["--version"])).stdout).toBe(`${version}\n`);
  });

  test.each([
    { args: [], says: /Usage: pulse/ },
    { args: ["token"], says: /Usage: pulse token/ },
    { args: ["srve"], says: /unknown command 'srve' \(Did you mean serve\?\)/ },
    { args: ["serve", "--listen", "9696"], says: /--listen.*Give HOST:PORT/ },
    { args: ["serve", "extra"], says: /too many arguments/ },
    {
      args: ["serve", "--log-level", "loud"],
      says: /Allowed choices are debug, info, warn, error/,
    },
    { args: ["serve", "--forget-after", "1w"], says: /--forget-after.*30d, .* or never/ },
    { args: ["serve", "--history-age", "never"], says: /--history-age.*Give a duration such as/ },
    { args: ["serve", "--history-changes", "0"], says: /Give a whole number from 1 to/ },
    { args: ["services", "list", "--status", "on"], says: /Allowed choices are online, degraded/ },
    {
      args: ["clients", "list", "--order", "size"],
      says: /Allowed choices are name, free-space, load/,
    },
    { args: ["clients", "list", "--pulse", "http://x/y"], says: /--pulse.*without a path/ },
    { args: ["token", "create", "--name", "n"], says: /required option '--scope/ },
    {
      args: ["token", "create", "--name", "n", "--scope", "all"],
      says: /Allowed choices are register/,
    },
    { args: ["token", "create", "--name", "", "--scope", "observe"], says: /not empty/ },
    { args: ["token", "revoke"], says: /missing required argument 'id'/ },
    { args: ["services", "explain"], says: /missing required argument 'service'/ },
    { args: ["services", "watch", "--status", "on"], says: /Allowed choices are online, degraded/ },
  ])("$args is wrong usage: 2, and says why", async ({ args, says }) => {
    const { code, stdout, stderr } = await group.run("pulse", args);
    expect(stderr).toMatch(says);
    expect(code).toBe(2);
    expect(stdout).toBe("");
  });

  test("a bad variable is named", async () => {
    const { code, stderr } = await group.run("pulse", ["serve"], { PULSE_LISTEN: "nowhere" });
    expect(code).toBe(2);
    expect(stderr).toContain("PULSE_LISTEN");
  });

  test("PULSE_INSECURE=maybe is wrong usage", async () => {
    const { code, stderr } = await group.run("pulse", ["serve"], { PULSE_INSECURE: "maybe" });
    expect(stderr).toContain("PULSE_INSECURE must be true or false");
    expect(code).toBe(2);
  });

  test.each([["--token", "plain-secret"], ["--token=plain-secret"]])(
    "there is no way to type a token, and one that was typed is not repeated",
    async (...typed) => {
      const { code, stderr } = await pulse("services", "list", ...typed);
      expect(code).toBe(2);
      expect(stderr).toContain("unknown option '--token'");
      expect(stderr).not.toContain("plain-secret");
    },
  );
});

describe("serve", () => {
  test("logs JSON lines and nothing else on stdout, and no secret", async () => {
    const written = server.stdout.trim().split("\n");
    expect(server.lines).toHaveLength(written.length);
    for (const name of ["service", "admin"])
      expect(server.stdout).not.toContain((await readFile(tokenFile(name), "utf8")).trim());
  });

  test("shows no secret in the list of processes", async () => {
    const program = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], {
      PULSE_SECRET_KEY: SECRET_KEY,
      PULSE_DATA: join(group.directory, "titled"),
    });
    await program.line("pulse.listening");
    expect(await readFile(`/proc/${program.pid}/cmdline`, "utf8")).not.toContain(SECRET_KEY);
    expect(program.stdout).not.toContain(SECRET_KEY);
    await program.stop();
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s ends it with 0, within 10 s", async (signal) => {
    const program = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], {
      PULSE_DATA: join(group.directory, signal),
    });
    await program.line("pulse.listening");
    const toldAt = performance.now();
    program.kill(signal);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(10_000);
  });

  test("it forgets services and their history when its variables say so", async () => {
    const env = {
      PULSE_DATA: join(group.directory, "forgetful"),
      PULSE_FORGET_AFTER: "500ms",
      PULSE_HISTORY_CHANGES: "1",
      PULSE_HISTORY_AGE: "12h",
    };
    const start = async () => {
      const program = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], env);
      return { program, url: String((await program.line("pulse.listening")).url) };
    };
    const first = await start();
    const token = await readFile(join(env.PULSE_DATA, "tokens", "service.token"), "utf8");
    const { registry, close } = connectPulse({ pulse: first.url, token });
    const { service, lease } = await registry.register({
      service: { name: "n", type: "t" },
      requestedTtl: { seconds: 5n }, // it counts as offline from when that would have passed
    });
    await new HeartbeatClient(registry).beat({ leaseId: lease?.id ?? "", goodbye: true });
    const id = service?.id ?? "";
    expect(await first.program.line("service.forgotten")).toMatchObject({ serviceId: id });
    close();
    await first.program.stop();

    const { program, url } = await start();
    const args = ["services", "explain", id, "--pulse", url];
    const { stdout } = await group.run("pulse", args, env);
    expect(stdout).toMatch(/\n\S+Z +\d+ +forgotten +service/);
    expect(stdout).toMatch(
      /\n\nIt is not registered now\.\nEarlier changes are no longer kept\.\n$/,
    );
    await program.stop();
  });

  test("keeps its data below XDG_STATE_HOME when nothing else is said, for its owner only", async () => {
    const state = join(group.directory, "state");
    const program = group.start("pulse", ["serve"], {
      PULSE_LISTEN: "127.0.0.1:0",
      PULSE_DATA: "",
      XDG_STATE_HOME: state,
    });
    await program.line("pulse.listening");
    expect((await stat(join(state, "pulse", "tokens", "admin.token"))).mode & 0o777).toBe(0o600);
    await program.stop();
  });

  test("a port in use is one sentence and 1", async () => {
    const { host } = new URL(url);
    const { code, stderr } = await group.run("pulse", ["serve", "--listen", host], {
      PULSE_DATA: join(group.directory, "second"),
    });
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain(host);
  });

  test("a data directory that cannot be written is one sentence and 1", async () => {
    const file = join(group.directory, "a-file");
    await writeFile(file, "");
    const directory = join(file, "data");
    const { code, stderr } = await group.run("pulse", ["serve", "--listen", "127.0.0.1:0"], {
      PULSE_DATA: directory,
    });
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain(directory);
  });

  test("another secret key than before is one sentence and 1, and shows neither", async () => {
    const args = ["serve", "--listen", "127.0.0.1:0"];
    const PULSE_DATA = join(group.directory, "keyed");
    const first = group.start("pulse", args, { PULSE_DATA, PULSE_SECRET_KEY: SECRET_KEY });
    await first.line("pulse.listening");
    await first.stop();
    const other = SECRET_KEY.split("").reverse().join("");
    const { code, stderr } = await group.run("pulse", args, {
      PULSE_DATA,
      PULSE_SECRET_KEY: other,
    });
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain("key");
    expect(stderr).not.toContain(other);
  });

  test("a data directory that another Pulse uses is one sentence and 1", async () => {
    const { code, stderr } = await group.run("pulse", ["serve", "--listen", "127.0.0.1:0"], {
      PULSE_DATA: data,
    });
    expect(stderr).toBe(
      `pulse: another Pulse uses the data directory ${data}: stop it, or choose another directory with --data\n`,
    );
    expect(code).toBe(1);
  });

  test("a database of a newer version is one sentence and 1", async () => {
    const env = { PULSE_DATA: join(group.directory, "newer") };
    const program = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], env);
    await program.line("pulse.listening");
    await program.stop();
    const database = new Database(join(env.PULSE_DATA, "pulse.db"));
    database.exec("update schema_version set version = 99");
    database.close();
    const { code, stderr } = await group.run("pulse", ["serve", "--listen", "127.0.0.1:0"], env);
    expect(stderr).toMatch(/^pulse: the database was written by a newer Pulse [^\n]+\n$/);
    expect(code).toBe(1);
  });

  test("a database that someone else writes to ends it with one sentence and 1", async () => {
    const env = { PULSE_DATA: join(group.directory, "shared") };
    const program = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], env);
    const { url } = await program.line("pulse.listening");
    const database = new Database(join(env.PULSE_DATA, "pulse.db"));
    database.exec("update clock set rev = rev + 1");
    database.close();
    const create = ["token", "create", "--name", "n", "--scope", "observe"];
    const refused = await group.run("pulse", create, { ...env, PULSE_URL: String(url) });
    expect(refused.stderr).toContain("cannot do this now");
    expect(await program.exit).toEqual({ code: 1, signal: null });
    expect(program.stderr).toMatch(/^pulse: another program has written to the database [^\n]+\n$/);
  });

  test("an address that others can reach needs --insecure", async () => {
    const PULSE_DATA = join(group.directory, "open");
    const refused = await group.run("pulse", ["serve", "--listen", "0.0.0.0:0"], { PULSE_DATA });
    expect(refused.code).toBe(1);
    expectOneSentence(refused.stderr);
    expect(refused.stderr).toContain("--insecure");

    const allowed = group.start("pulse", ["serve", "--listen", "0.0.0.0:0"], {
      PULSE_DATA,
      PULSE_INSECURE: "true",
    });
    await allowed.line("pulse.listening");
    await allowed.stop();
  });
});

describe("client commands", () => {
  const connect = async () =>
    connectPulse({ pulse: url, token: (await readFile(tokenFile("service"), "utf8")).trim() });

  beforeAll(async () => {
    const connection = await connect();
    await connection.registry.register({
      service: {
        name: "nas",
        type: "download-client",
        kind: "qbittorrent",
        apiUrl: "http://127.0.0.1:8080/qbt",
        capabilities: ["categories"],
      },
      serviceUsername: "me",
      serviceApiKey: "hunter2-hunter2",
      requestedTtl: LONG_TTL,
    });
    await connection.registry.register({
      service: { name: "greeter", type: "example" },
      requestedTtl: LONG_TTL,
    });
    connection.close();
  });

  test("services list is a table, and --json one object", async () => {
    expect((await pulse("services", "list")).stdout).toMatch(
      /nas +download-client +qbittorrent +online/,
    );
    const { code, stdout, stderr } = await pulse("services", "list", "--type", "example", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const list = JSON.parse(stdout);
    expect(list.services).toHaveLength(1);
    expect(list.services[0]).toMatchObject({
      spec: { name: "greeter", type: "example" },
      status: "SERVICE_STATUS_ONLINE",
    });
    expect(list.revision).toMatch(/^\d+$/);
  });

  test("services explain tells by name, id or instance id what happened, oldest first", async () => {
    const json = await pulse("services", "explain", "nas", "--json");
    const response = fromJsonString(ExplainServiceResponseSchema, json.stdout);
    expect(response.service?.spec?.name).toBe("nas");
    expect(response.timeline.map(({ reason }) => reason)).toEqual(["registered", "registered"]);
    const { id = "", instanceId = "" } = response.service ?? {};
    const { stdout } = await pulse("services", "explain", id);
    expect(stdout).toMatch(/^TIME .*\n\S+Z +\d+ +registered +service +online\n/);
    expect(stdout).toMatch(/\n\nnas is online now \(registered\), last seen \S+Z\.\n$/);
    expect((await pulse("services", "explain", instanceId)).stdout).toBe(stdout);
  });

  test("services explain says that it knows no such service, or several", async () => {
    const unknown = await pulse("services", "explain", "greet");
    expect(unknown.code).toBe(1);
    expectOneSentence(unknown.stderr);
    expect(unknown.stderr).toContain("greet");

    const { registry, close } = await connect();
    const twins = await Promise.all(
      ["one", "two"].map((type) => registry.register({ service: { name: "twin", type } })),
    );
    close();
    const { code, stderr } = await pulse("services", "explain", "twin");
    expect(code).toBe(1);
    expectOneSentence(stderr);
    for (const { service } of twins) expect(stderr).toContain(service?.id);
  });

  test("services explain knows by its name what was removed, and shows that it was", async () => {
    const { registry, close } = await connect();
    const identity = {
      instanceId: "7b1f6c52-1d0e-4a83-8f37-2c9be6a4d051",
      instanceSecret: "a-secret-of-a-box-0123456789abcdef",
    };
    const service = { name: "gone-box", type: "example" };
    await registry.register({ ...identity, service });
    await registry.deregister(identity);
    close();
    const { stdout } = await pulse("services", "explain", "gone-box");
    expect(stdout).toMatch(/ registered +service +online\n\S+ +\d+ +deregistered +service +gone /);
    expect(stdout).toMatch(/\n\nIt is not registered now\.\n$/);
  });

  test("services list filters by capability and status", async () => {
    const args = ["services", "list", "--json", "--status", "online", "degraded"];
    const list = JSON.parse((await pulse(...args, "--capability", "categories")).stdout);
    expect(list.services.map((service: { spec: { name: string } }) => service.spec.name)).toEqual([
      "nas",
    ]);
    const none = JSON.parse(
      (await pulse("services", "list", "--status", "offline", "--json")).stdout,
    );
    expect(none.services).toEqual([]);
  });

  test("clients list hides credentials unless asked, in the table and in JSON", async () => {
    const table = await pulse("clients", "list");
    expect(table.stdout).toMatch(
      /nas +qbittorrent +torrent +http:\/\/127\.0\.0\.1:8080\/qbt +online/,
    );
    const json = await pulse("clients", "list", "--json");
    expect(JSON.parse(json.stdout).downloadClients).toMatchObject([
      {
        name: "nas",
        port: 8080,
        enabled: true,
        availability: "AVAILABILITY_ONLINE",
        username: "",
        password: "",
      },
    ]);
    expect(table.stdout + json.stdout).not.toContain("hunter2");

    const shown = await pulse("clients", "list", "--json", "--show-credentials");
    expect(JSON.parse(shown.stdout).downloadClients).toMatchObject([
      { username: "me", password: "hunter2-hunter2" },
    ]);
    expect((await pulse("clients", "list", "--show-credentials")).stdout).toContain(
      "hunter2-hunter2",
    );
  });

  test("clients list filters", async () => {
    const count = async (...args: string[]) =>
      JSON.parse((await pulse("clients", "list", "--json", ...args)).stdout).downloadClients.length;
    expect(await count("--protocol", "torrent", "--kind", "qbittorrent", "--enabled", "true")).toBe(
      1,
    );
    expect(await count("--protocol", "usenet")).toBe(0);
    expect(await count("--enabled", "false")).toBe(0);
    expect(await count("--availability", "offline")).toBe(0);
    expect(await count("--credential-state", "verified", "rejected", "unverified")).toBe(1);
    expect(await count("--credential-state", "rejected")).toBe(0);
  });

  test("clients list comes in an order, and shows what that is by", async () => {
    for (const args of [["--order", "load"], ["--order", "free-space"], ["--load"]])
      expect((await pulse("clients", "list", ...args)).stdout).toMatch(/^NAME .* FREE +ACTIVE /);
    expect((await pulse("clients", "list", "--order", "name")).stdout).toMatch(/ ADDRESS /);
  });

  test("a token is made, used, listed and revoked", async () => {
    const made = await pulse("token", "create", "--name", "prism", "--scope", "observe", "--json");
    const created = JSON.parse(made.stdout);
    expect(created).toMatchObject({ name: "prism", scopes: ["SCOPE_OBSERVE"] });
    const listClients = () =>
      group.run("pulse", ["clients", "list", "--json", "--show-credentials"], {
        PULSE_URL: url,
        PULSE_TOKEN: created.token,
      });

    const seen = JSON.parse((await listClients()).stdout);
    expect(seen.downloadClients).toMatchObject([{ name: "nas", password: "" }]);

    const listed = await pulse("token", "list", "--json");
    expect(JSON.parse(listed.stdout).tokens).toContainEqual(
      expect.objectContaining({ id: created.id, name: "prism", scopes: ["SCOPE_OBSERVE"] }),
    );
    expect(listed.stdout).not.toContain(created.token);

    expect((await pulse("token", "revoke", created.id)).stdout).toContain("Revoked prism");
    const refused = await listClients();
    expect(refused.code).toBe(1);
    expectOneSentence(refused.stderr);
    expect(refused.stderr).toContain("PULSE_TOKEN");
    expect(refused.stderr).not.toContain(created.token);
    expect((await pulse("token", "list")).stdout).toMatch(/prism +observe +revoked/);
  });

  test("a token ends by itself, and a join token after so many uses", async () => {
    const make = (...args: string[]) => pulse("token", "create", "--name", "ends", ...args);
    const made = await make("--scope", "join", "--uses", "3", "--expires-in", "30d");
    expect(made.stderr).toMatch(/scopes join, for 3 instances, until \d{4}-.*Z\)/);
    const at = await make("--scope", "observe", "--expires-at", "2999-01-31");
    expect(at.stderr).toContain("until 2999-01-31T00:00:00Z");
    expect((await pulse("token", "list")).stdout).toMatch(/ends +join +valid +\S+Z +0 of 3 +- /);

    for (const [args, hint] of [
      [["--scope", "join"], "--uses, --expires-in"],
      [["--scope", "observe", "--uses", "1"], "--uses goes with --scope join alone"],
      [["--scope", "observe", "--expires-at", "2001-01-31"], "expire_time: must be in the future"],
      [["--scope", "observe", "--expires-at", "soon"], "Give a time such as"],
      [
        ["--scope", "observe", "--expires-in", "1d", "--expires-at", "2999-01-31"],
        "cannot be used",
      ],
      [["--scope", "join", "--uses", "100001"], "from 1 to 100000"],
    ] as const) {
      const refused = await make(...args);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain(hint);
    }
  });

  test("without --json the token alone is on stdout", async () => {
    const { stdout, stderr } = await pulse(
      "token",
      "create",
      "--name",
      "n",
      "--scope",
      "register",
      "discover",
    );
    expect(stdout).toMatch(/^\S{20,}\n$/);
    expect(stderr).toContain("scopes register, discover");
  });

  test("an unknown id is one sentence and 1", async () => {
    const { code, stderr } = await pulse("token", "revoke", "no-such-token");
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain("no-such-token");
  });

  test("a service token may not make tokens", async () => {
    const { code, stderr } = await pulse(
      "token",
      "create",
      "--name",
      "n",
      "--scope",
      "admin",
      "--token-file",
      tokenFile("service"),
    );
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain("does not allow this");
  });

  test("an output that cannot be written is one sentence and 1", async () => {
    const script = `exec ${process.execPath} --import tsx src/cli/pulse.ts --help > /dev/full`;
    const { status, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
    expect(stderr).toBe("cannot write the output (ENOSPC)\n");
    expect(status).toBe(1);
  });

  test("Pulse not running is one sentence and 1, at once", async () => {
    const { code, stderr } = await pulse("services", "list", "--pulse", "http://127.0.0.1:1");
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain('start it with "pulse serve"');
  });

  test("no token is one sentence and 1", async () => {
    const nowhere = join(group.directory, "nowhere");
    await mkdir(nowhere);
    const { code, stderr } = await group.run("pulse", ["services", "list"], {
      PULSE_URL: url,
      PULSE_DATA: nowhere,
    });
    expect(code).toBe(1);
    expectOneSentence(stderr);
    expect(stderr).toContain("PULSE_TOKEN");
    expect(existsSync(join(nowhere, "tokens"))).toBe(false);
  });
});

const SECRET_KEY = Buffer.from("0123456789abcdefghijklmnopqrstuv").toString("hex");

function tokenFile(name: string): string {
  return join(data, "tokens", `${name}.token`);
}
