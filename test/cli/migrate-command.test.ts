import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { withoutPassword } from "../../src/cli/migrate-command.js";
import { systemRandom } from "../../src/lib/random.js";
import { openSqliteStore } from "../../src/store/sqlite.js";
import { commitOf, entryRecord, serviceRecord } from "../store/sample-records.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { ask } from "../support/postgres-database.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";
import { HAUL, TestPulse } from "../support/pulse.js";
import { seededRandom } from "../support/seeded-random.js";
import { WatchReader } from "../support/watch-reader.js";

const PASSWORD = "planted-password-4711";
const API_KEY = HAUL.serviceApiKey;

async function programs(): Promise<ProgramGroup> {
  const group = await createProgramGroup();
  onTestFinished(() => group.stop());
  return group;
}

/** An empty database, with a password in its URL that no output may show. */
async function emptyDatabase(): Promise<string> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  const url = new URL(database.url);
  url.password ||= PASSWORD; // the tests' own server asks for none
  return url.href;
}

/** `pulse migrate …`, which shows no secret. */
async function migrate(group: ProgramGroup, args: readonly string[], env = {}) {
  const result = await group.run("pulse", ["migrate", ...args], env);
  for (const secret of [PASSWORD, API_KEY])
    expect(result.stdout + result.stderr).not.toContain(secret);
  return result;
}

/** A data directory with a registry in it that nobody uses. */
async function dataDirectory(group: ProgramGroup, services = 1): Promise<string> {
  const directory = join(group.directory, "data");
  const store = await openSqliteStore({ directory, random: systemRandom });
  const records = Array.from({ length: services }, (_, i) => serviceRecord({ id: `service-${i}` }));
  const entries = records.map(({ id }, i) =>
    entryRecord({ id: `entry-${i}`, origin: { source: "auto", serviceId: id, overrides: {} } }),
  );
  const commit = commitOf(1n, { services: records, entries });
  await store.commit({
    known: () => ({ revision: 0n, stamp: "" }),
    holdingsOf: [],
    decide: () => [commit],
  });
  await store.close();
  return directory;
}

describePostgres("pulse migrate", () => {
  test("copies, and says what was copied and what nodes need", async () => {
    const group = await programs();
    const data = await dataDirectory(group, 3);
    const url = await emptyDatabase();
    const name = new URL(url);
    const first = await migrate(group, ["--to", url, "--data", data]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toMatch(/^TABLE +HERE +THERE +ALIKE\nservices +3 +3 +3\n/);
    expect(first.stdout).toContain(`revision 1, to postgres://${name.host}${name.pathname}.`);
    expect(first.stdout).toContain(`what is in ${join(data, "secret.key")}`);
    expect(first.stdout).toContain(
      `\n  pulse serve --database ${withoutPassword(url)} --data ${data}\n`,
    );

    const again = await migrate(group, ["--to", url, "--data", data, "--json"]);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toEqual({
      database: `postgres://${name.host}${name.pathname}`,
      result: "found",
      epoch: expect.stringMatching(/^[0-9a-f-]{36}$/),
      revision: "1",
      tables: [
        { name: "services", source: 3, target: 3, equal: 3 },
        { name: "download_clients", source: 3, target: 3, equal: 3 },
        { name: "tokens", source: 0, target: 0, equal: 0 },
        { name: "change_log", source: 1, target: 1, equal: 1 },
        { name: "audit", source: 0, target: 0, equal: 0 },
      ],
      secretKey: { file: join(data, "secret.key") },
      nodeCommand: `pulse serve --database ${withoutPassword(url)} --data ${data}`,
    });
  });

  test("takes the URL and the directory from variables of their own", async () => {
    const group = await programs();
    const PULSE_DATA = await dataDirectory(group);
    const env = { PULSE_DATA, PULSE_MIGRATE_TO: await emptyDatabase() };
    expect(await migrate(group, ["--json"], env)).toMatchObject({ code: 0, stderr: "" });
  });

  test("does not take Pulse's own database for the target", async () => {
    const group = await programs();
    const PULSE_DATA = await dataDirectory(group);
    const url = await emptyDatabase();
    const { code, stderr } = await migrate(group, [], { PULSE_DATA, PULSE_DATABASE: url });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "pulse: required option '--to <url>' not specified; see pulse --help\n",
    });
    expect(await ask(url, "select * from pg_tables where schemaname = 'public'")).toEqual([]);
  });

  test("is refused while a Pulse runs in the directory", async () => {
    const group = await programs();
    const data = join(group.directory, "data");
    const server = group.start("pulse", ["serve", "--listen", "127.0.0.1:0", "--data", data]);
    await server.line("pulse.listening");
    const { code, stderr } = await migrate(group, ["--to", await emptyDatabase(), "--data", data]);
    expect(stderr).toMatch(
      /^pulse: another Pulse uses the data directory [^\n]*: stop it, [^\n]*\n$/,
    );
    expect(code).toBe(1);
  });

  test("makes nothing where there is no registry", async () => {
    const group = await programs();
    const data = join(group.directory, "nowhere");
    const { code, stderr } = await migrate(group, ["--to", await emptyDatabase(), "--data", data]);
    expect(stderr).toMatch(/^pulse: there is no registry to copy, [^\n]* --data\n$/);
    expect(code).toBe(1);
    await expect(readFile(join(data, "pulse.db"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("shows the password to nobody who looks at the processes", async () => {
    const group = await programs();
    const data = await dataDirectory(group, 1_000);
    const url = await emptyDatabase();
    const program = group.start("pulse", ["migrate", "--to", url, "--data", data]);
    await copying(url);
    if (process.platform === "linux")
      expect(await readFile(`/proc/${program.pid}/cmdline`, "utf8")).not.toContain(PASSWORD);
    expect(await program.exit).toMatchObject({ code: 0 });
  });
});

describe("--to", () => {
  test("must be a URL of a PostgreSQL, and is not repeated", async () => {
    const group = await programs();
    const { code, stderr } = await migrate(group, ["--to", `mysql://u:${PASSWORD}@h/x`]);
    expect(stderr).toMatch(/^pulse: --to must be a URL such as [^\n]*\n$/);
    expect(code).toBe(2);
    for (const text of [`u:${PASSWORD}@h/x`, "pulse", `postgres://u:${PASSWORD}#@h/x`])
      expect(() => withoutPassword(text)).toThrow(
        /^--to must be a URL such as postgres:[^@]*@host/,
      );
  });

  test.each([
    ["postgres://u:p@h:5433/d?sslmode=require", "postgres://u@h:5433/d?sslmode=require"],
    ["postgresql://h/d?user=u&password=p", "postgresql://h/d?user=u"],
  ])("is shown without its password: %s", (url, shown) => {
    expect(withoutPassword(url)).toBe(shown);
  });
});

/** Resolves while a copy to this database is under way. */
function copying(url: string): Promise<void> {
  return eventually(async () => {
    const found = await ask(
      url,
      `select 1 from pg_stat_activity where application_name = 'pulse migrate'
        and datname = current_database() and query like 'insert%'`,
    );
    if (found.length === 0) throw new Error("no copy is under way");
  });
}

describePostgres("a copy that is killed", () => {
  const seed = Number(process.env.PULSE_SEED ?? 1);

  test(`at any moment (seed ${seed}) leaves nothing or the whole, and may be started again`, async () => {
    const random = seededRandom(seed);
    const group = await programs();
    const data = await dataDirectory(group, 2_000);
    for (let round = 0; round < 3; round++) {
      const url = await emptyDatabase();
      const program = group.start("pulse", ["migrate", "--to", url, "--data", data]);
      await copying(url);
      await setTimeout(random.next() * 300);
      program.kill("SIGKILL");
      await program.exit;
      const tables = await ask(url, "select * from pg_tables where schemaname = 'public'");
      if (tables.length > 0)
        expect(await ask(url, "select count(*)::int as count from services")).toEqual([
          { count: 2_000 },
        ]);
      const { code, stdout } = await migrate(group, ["--to", url, "--data", data, "--json"]);
      expect(code).toBe(0);
      const { result, tables: counted } = JSON.parse(stdout);
      expect(result).toBe(tables.length > 0 ? "found" : "copied");
      expect(counted[0]).toEqual({ name: "services", source: 2_000, target: 2_000, equal: 2_000 });
    }
  }, 60_000);
});

describePostgres("clients of a Pulse that has moved", () => {
  let group: ProgramGroup;
  beforeAll(async () => {
    group = await createProgramGroup();
    return () => group.stop();
  });

  test("go on with their lease, resume token and bearer token", async () => {
    const directory = join(group.directory, "moved");
    const before = await TestPulse.start({ dataDirectory: directory });
    const token = await before.fileToken("service");
    const clients = before.clients("gRPC", token);
    const { lease, epoch } = await clients.registry.register(HAUL);
    const leaseId = lease?.id ?? "";
    const watch = new WatchReader((options) =>
      clients.downloadClients.watchDownloadClients({}, options),
    );
    await watch.snapshot();
    await before.server.stop();

    const database = await emptyDatabase();
    expect(await migrate(group, ["--to", database, "--data", directory])).toMatchObject({
      code: 0,
    });

    // On another host, which has been given nothing but the key.
    const dataDirectory = join(group.directory, "node");
    await mkdir(dataDirectory);
    await cp(join(directory, "secret.key"), join(dataDirectory, "secret.key"));
    const node = await TestPulse.start({ dataDirectory, database });
    onTestFinished(async () => {
      await node.stop();
      await rm(directory, { recursive: true, force: true });
    });
    const { registry, downloadClients } = node.clients("gRPC", token);
    const stream = new HeartbeatClient(registry);
    expect((await stream.beat({ leaseId })).case).toBe("renewed");

    const resumed = new WatchReader((options) =>
      downloadClients.watchDownloadClients({ resumeToken: watch.token }, options),
    );
    await resumed.bookmark(); // no snapshot: nothing is new to it
    const again = await registry.register({ ...HAUL, leaseId });
    expect(again.epoch).toBe(epoch);
    const { downloadClients: listed } = await downloadClients.listDownloadClients({});
    expect(listed).toMatchObject([{ name: "haul", password: API_KEY }]);
    stream.break();
  });
});
