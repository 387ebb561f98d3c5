import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import pg from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectPulse } from "../../src/client/index.js";
import { parseKeys } from "../../src/store/secret-key.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { filesIn, PlantedSecrets, ProcessWatch } from "../support/planted.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { heapOf, heapProbe, joinedEnv } from "../support/preload.js";
import type { RunningProgram } from "../support/processes.js";
import { LONG_TTL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";

// Every secret of a whole run is a text that can be recognised, and nothing but what must
// hold it may show it, in whatever form.

const DEBUG = { PULSE_LOG_LEVEL: "debug", HAUL_LOG_LEVEL: "debug" };
const TIMEOUT = { timeout: 180_000 };
/**
 * What must not be on Pulse's heap once nobody calls. By need there are the credentials of
 * entries, which it serves to managers, the password of the database, to connect again, and
 * while a stream is open the token that it came with, among its headers.
 */
const NOT_ON_HEAP = /^(token|instance secret|secret key)/;

/** What somebody may see, by where. */
type Seen = Map<string, string | Buffer>;

class Run {
  readonly planted = new PlantedSecrets();
  /** No secrets: they are in every place that is searched, to show that the search finds what is there. */
  readonly controls = new PlantedSecrets();
  readonly control = this.controls.plant("control", `control-${randomBytes(8).toString("hex")}`);
  readonly seen: Seen = new Map();
  readonly processes = new ProcessWatch();
  readonly #programs: [string, RunningProgram][] = [];

  constructor(
    readonly stack: Stack,
    readonly heapFile: string,
  ) {}

  watch(name: string, program: RunningProgram): RunningProgram {
    this.#programs.push([name, program]);
    return program;
  }

  /** What all programs that it was told of have written so far. */
  hear(): void {
    for (const [name, { pid, stdout, stderr }] of this.#programs) {
      this.seen.set(`stdout of ${name} ${pid}`, stdout);
      this.seen.set(`stderr of ${name} ${pid}`, stderr);
    }
  }

  async startPulse(env: Readonly<Record<string, string>>): Promise<RunningProgram> {
    return this.watch(
      "pulse",
      await this.stack.startPulse(joinedEnv(DEBUG, heapProbe(this.heapFile), env)),
    );
  }

  /** A command of the operator. @returns what it printed */
  async cli(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { stack } = this;
    const result = await stack.group.run("pulse", args, {
      PULSE_URL: stack.url,
      PULSE_DATA: stack.dataDirectory,
      ...env,
    });
    this.seen.set(`stderr of pulse ${args.slice(0, 2).join(" ")}`, result.stderr);
    return result;
  }

  /** The error of a call, with all that it carries. */
  async error(what: string, call: Promise<unknown>): Promise<Code | undefined> {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof ConnectError)) throw new Error(`${what} did not fail: ${error}`);
    const details = error.details.flatMap((detail) =>
      "value" in detail && detail.value instanceof Uint8Array ? [detail.value] : [],
    );
    this.seen.set(
      `error of ${what}`,
      Buffer.concat([
        Buffer.from(error.message),
        Buffer.from(JSON.stringify([...error.metadata])),
        ...details,
      ]),
    );
    return error.code;
  }

  /** Where a planted secret shows that should not. */
  leaks(): readonly string[] {
    const places: [string, string | Buffer][] = [
      ...this.seen,
      ["processes", this.processes.seen] as [string, string],
    ];
    return places.flatMap(([place, content]) =>
      this.planted.in(content).map((secret) => `${place}: ${secret}`),
    );
  }
}

/** Everything that happens in a life of Pulse. @param database with a planted password */
async function live(run: Run, env: Readonly<Record<string, string>>): Promise<RunningProgram> {
  const { stack, planted } = run;
  const { directory } = stack.group;
  let pulse = await run.startPulse(env);
  const tokens = { service: await stack.token("service"), admin: await stack.token("admin") };
  for (const [name, token] of Object.entries(tokens)) plantToken(planted, name, token);

  // A Haul in front of a client with a password.
  const client = new FakeQBittorrent();
  client.password = planted.make("password of the fronted client");
  const username = planted.make("user of the fronted client");
  const passwordFile = join(directory, "given-password");
  await writeFile(passwordFile, client.password, { mode: 0o600 });
  const url = await serve(client.listener);
  const startHaul = async () =>
    run.watch(
      "haul",
      await stack.startHaul(
        "haul",
        ["--kind", "qbittorrent", "--url", url, "--name", run.control],
        {
          ...DEBUG,
          HAUL_USERNAME: username,
          HAUL_PASSWORD_FILE: passwordFile,
        },
      ),
    );
  const haul = await startHaul();
  await stack.entryIs(run.control, "ONLINE", 30_000);
  for (const { path, content } of await filesIn(join(directory, "haul")))
    for (const [, secret = ""] of content.toString().matchAll(/"?([A-Za-z0-9_-]{20,})"?/g))
      if (!/^[0-9a-f-]{36}$/.test(secret) && !/^instance/.test(secret))
        planted.plant(`instance secret or key in ${relative(directory, path)}`, secret);

  // A program that registers by itself.
  const { registry, downloadClients } = stack.connect();
  const service = {
    name: "by-itself",
    type: "download-client",
    kind: "sabnzbd",
    apiUrl: "http://nas:8080",
  };
  const secrets = {
    instanceSecret: planted.make("instance secret"),
    serviceUsername: planted.make("user of a service"),
    serviceApiKey: planted.make("API key of a service"),
  };
  await registry.register({ service, instanceId: "by-itself", ...secrets, requestedTtl: LONG_TTL });

  // A manager that watches, as a program of the command line.
  const watching = run.watch(
    "watch",
    stack.group.start("pulse", ["clients", "watch", "--json"], {
      PULSE_URL: stack.url,
      PULSE_TOKEN: tokens.service,
    }),
  );
  await watching.output(/by-itself/);

  // The operator.
  const apiKeyFile = join(directory, "given-api-key");
  await writeFile(apiKeyFile, planted.make("API key of an entry"), { mode: 0o600 });
  const add = ["clients", "add", "--name", "hand", "--kind", "sabnzbd", "--url", "http://nas:1"];
  expect(await run.cli([...add, "--api-key-file", apiKeyFile])).toMatchObject({ code: 0 });
  await writeFile(apiKeyFile, planted.make("API key of an edit"), { mode: 0o600 });
  expect(await run.cli(["clients", "edit", "hand", "--api-key-file", apiKeyFile])).toMatchObject({
    code: 0,
  });
  for (const command of [
    "services list",
    "clients list",
    "clients list --json",
    "services explain by-itself",
    "clients test hand",
    "token list --json",
    "secrets rotate --json",
  ]) {
    const { stdout } = await run.cli(command.split(" "));
    run.seen.set(`stdout of pulse ${command}`, stdout);
  }
  const created = await run.cli(["token", "create", "--name", "mine", "--scope", "observe"]);
  const made = plantToken(planted, "mine", created.stdout.trim()); // shown once, by need
  run.hear();

  // Calls that go wrong, with secrets where they do not belong.
  const wrong = `pulse_${made.id}_${planted.makePlain("token, wrong")}${"x".repeat(6)}`;
  const anonymous = connectPulse({ pulse: stack.url, token: wrong, retry: "never" });
  expect(await run.error("a wrong token", anonymous.registry.listServices({}))).toBe(
    Code.Unauthenticated,
  );
  anonymous.close();
  const misplaced = planted.make("API key in a wrong field");
  const other = { ...service, name: "other" };
  for (const [what, call] of [
    [
      "a password in the URL",
      () =>
        registry.register({
          service: { ...other, apiUrl: `http://me:${encodeURIComponent(misplaced)}@nas:1` },
        }),
    ],
    [
      "a key in the URL",
      () => registry.register({ service: { ...other, apiUrl: `ftp://nas/${misplaced}` } }),
    ],
    ["a key as kind", () => registry.register({ service: { ...other, kind: misplaced } })],
    [
      "a key as instance id",
      () => registry.register({ service: other, instanceId: `${misplaced}\n` }),
    ],
    [
      "another secret",
      () => registry.register({ service, instanceId: "by-itself", instanceSecret: misplaced }),
    ],
    ["a control as id", () => registry.getService({ id: run.control })],
    ["no scope", () => stack.connect().tokens.createToken({ name: "x", scopes: [] })],
    ["a token as id", () => stack.connect("admin").tokens.revokeToken({ id: tokens.service })],
    ["a token as a service", () => registry.getService({ id: tokens.service })],
    [
      "a token as an entry",
      () => stack.connect("admin").downloadClients.testDownloadClient({ id: tokens.admin }),
    ],
  ] as const)
    await run.error(what, call());
  await run.cli(["services", "list"], { PULSE_TOKEN: wrong });
  await run.cli(["services", "explain", `not-${run.control}`]);
  expect((await run.cli(["token", "revoke", made.id])).code).toBe(0);
  await downloadClients.listDownloadClients({});
  run.seen.set("/healthz", await (await fetch(`${stack.url}/healthz`)).text());
  run.seen.set("/metrics", await (await fetch(`${stack.url}/metrics`)).text());

  // Ends of every kind.
  await pulse.stop();
  pulse = await run.startPulse(env);
  pulse.kill("SIGKILL");
  await pulse.exit;
  pulse = await run.startPulse(env);
  await stack.entryIs(run.control, "ONLINE", 30_000);
  await watching.stop();
  await haul.stop();
  await stack.entryIs(run.control, "OFFLINE", 30_000);
  run.hear();
  return pulse;
}

function plantToken(planted: PlantedSecrets, name: string, token: string): { readonly id: string } {
  const [, id = "", secret = ""] = /^pulse_([0-9a-f]{16})_(.{43})$/.exec(token) ?? [];
  planted.plant(`token ${name}`, secret);
  return { id };
}

function plantKeys(planted: PlantedSecrets, text: string): void {
  for (const word of text.trim().split(/[\s,]+/)) planted.plant("secret key", word);
  for (const key of parseKeys(text) ?? []) planted.plantBytes("secret key", key);
}

/** Files that must hold a secret: for their owner alone. */
const HOLDERS: Readonly<Record<string, RegExp>> = {
  "pulse-data/tokens/service.token": /^token service/,
  "pulse-data/tokens/admin.token": /^token admin/,
  "pulse-data/secret.key": /^secret key/,
  "haul/instance.json": /instance secret or key in haul\/instance.json/,
  "haul/api.key": /instance secret or key in haul\/api.key/,
};

/** Files of the data directories that show more than they must, or to others than their owner. */
async function leaksOnDisk({ stack, planted }: Run): Promise<readonly string[]> {
  const leaks: string[] = [];
  for (const state of ["pulse-data", "haul"])
    for (const { path, mode, content } of await filesIn(join(stack.group.directory, state))) {
      const name = relative(stack.group.directory, path);
      const found = planted.in(content).filter((secret) => !HOLDERS[name]?.test(secret));
      leaks.push(...found.map((secret) => `${name}: ${secret}`));
      if (HOLDERS[name] && mode !== 0o600) leaks.push(`${name} has mode ${mode.toString(8)}`);
    }
  return leaks;
}

/** Every row of every table, as text. */
async function tablesOf(url: string): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query(
      "select tablename from pg_tables where schemaname = current_schema()",
    );
    const dumps = [];
    for (const { tablename } of rows)
      dumps.push((await client.query(`select t::text as row from "${tablename}" as t`)).rows);
    return JSON.stringify(dumps);
  } finally {
    await client.end();
  }
}

/** Places where the control is not found, though it is there, and files that should hold a secret and do not. */
async function blindSpots(run: Run, heap: Buffer): Promise<readonly string[]> {
  const { seen, controls, planted, processes, stack } = run;
  const files = await filesIn(stack.group.directory);
  const databases = files.filter(({ path }) => /pulse\.db/.test(path));
  const stdoutOf = (name: string) =>
    [...seen].flatMap(([place, text]) =>
      place.startsWith(`stdout of ${name}`) ? [String(text)] : [],
    );
  const places: Readonly<Record<string, string | Buffer>> = {
    heap,
    processes: processes.seen,
    "stdout of haul": stdoutOf("haul").join(""),
    "stdout of watch": stdoutOf("watch").join(""),
    "stdout of pulse clients list": stdoutOf("pulse clients list").join(""),
    "stderr of pulse services explain": seen.get("stderr of pulse services explain") ?? "",
    "error of a control as id": seen.get("error of a control as id") ?? "",
    database: seen.get("tables") ?? Buffer.concat(databases.map(({ content }) => content)),
  };
  const blind = Object.keys(places).filter(
    (place) => controls.in(places[place] ?? "").length === 0,
  );
  const pulseLog = stdoutOf("pulse ").join("");
  if (!pulseLog.includes('"level":20') && !pulseLog.includes('"debug"')) blind.push("Pulse's log");
  for (const { path, content } of files) {
    const holds = HOLDERS[relative(stack.group.directory, path)];
    if (holds && planted.in(content, holds).length === 0) blind.push(path);
  }
  return blind;
}

async function createRun(stack: Stack): Promise<Run> {
  onTestFinished(() => stack.stop());
  const run = new Run(stack, join(stack.group.directory, "heap.json"));
  onTestFinished(() => run.processes.stop());
  return run;
}

describe("no planted secret shows", TIMEOUT, () => {
  it("where Pulse has a database and a key file of its own", async () => {
    const run = await createRun(await Stack.create());
    const pulse = await live(run, {});
    plantKeys(run.planted, await readFile(join(run.stack.dataDirectory, "secret.key"), "utf8"));
    expect(run.leaks()).toEqual([]);
    expect(await leaksOnDisk(run)).toEqual([]);
    const heap = await heapOf(pulse, run.heapFile);
    expect(run.planted.in(heap, NOT_ON_HEAP)).toEqual([]);
    expect(await blindSpots(run, heap)).toEqual([]);
    await pulse.stop();
    expect(await leaksOnDisk(run)).toEqual([]);
  });
});

describePostgres("no planted secret shows on PostgreSQL", () => {
  it("where the URL has a password and the keys are given", TIMEOUT, async () => {
    const database = await createDatabase();
    onTestFinished(() => database.drop());
    const url = new URL(database.url);
    const run = await createRun(await Stack.create({ database: database.url }));
    url.password = run.planted.makePlain("database password");
    const keys = [1, 2].map(() => randomBytes(32).toString("hex")).join(",");
    plantKeys(run.planted, keys);
    const env = { PULSE_DATABASE: url.href, PULSE_SECRET_KEY: keys };
    const pulse = await live(run, env);

    // A database that is not there, and keys that are none.
    url.port = "1";
    for (const [what, wrong] of [
      ["no database", { ...env, PULSE_DATABASE: url.href }],
      ["a bad key", { ...env, PULSE_SECRET_KEY: `${keys}0` }],
    ] as const) {
      const { code, stdout, stderr } = await run.stack.group.run(
        "pulse",
        ["serve", "--listen", "127.0.0.1:0", "--data", join(run.stack.group.directory, "other")],
        wrong,
      );
      expect(code).toBe(1);
      run.seen.set(`pulse with ${what}`, stdout + stderr);
    }
    run.seen.set("tables", await tablesOf(database.url));
    expect(run.leaks()).toEqual([]);
    expect(await leaksOnDisk(run)).toEqual([]);
    const heap = await heapOf(pulse, run.heapFile);
    expect(run.planted.in(heap, NOT_ON_HEAP)).toEqual([]);
    expect(await blindSpots(run, heap)).toEqual([]);
    await pulse.stop();
  });
});
