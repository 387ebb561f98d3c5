import { randomBytes } from "node:crypto";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createDatabase, describePostgres } from "../support/postgres.js";
import type { TestDatabase } from "../support/postgres-database.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";

// Nodes as an operator starts them, on one PostgreSQL.

describePostgres("nodes that start", () => {
  const secretKey = randomBytes(32).toString("hex");
  let group: ProgramGroup;
  let database: TestDatabase;
  beforeAll(async () => {
    group = await createProgramGroup();
    database = await createDatabase();
  });
  afterAll(async () => {
    await group?.stop();
    await database?.drop();
  });
  let number = 0;
  beforeEach(() => {
    number++;
  });

  const args = (name: string) => [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--data",
    join(group.directory, `${name}-${number}`),
    "--database",
    database.url,
  ];

  it("at the same time on an empty database make one registry, once", async () => {
    const env = { PULSE_SECRET_KEY: secretKey };
    const nodes = ["one", "two", "three"].map((name) => group.start("pulse", args(name), env));
    for (const node of nodes) await node.line("pulse.listening");
    const client = new pg.Client(database.url);
    await client.connect();
    const { rows } = await client.query("select count(*) as clocks from clock");
    const { rows: members } = await client.query("select count(*) as nodes from nodes");
    await client.end();
    expect([rows, members]).toEqual([[{ clocks: "1" }], [{ nodes: "3" }]]);
    for (const exit of await Promise.all(nodes.map((node) => node.stop())))
      expect(exit).toEqual({ code: 0, signal: null });
  });

  it.each([
    ["another key", { PULSE_SECRET_KEY: randomBytes(32).toString("hex") }, "PULSE_SECRET_KEY"],
    ["no key of their own", {}, "secret.key"],
  ])("with %s refuse to, and say why", async (_, env, source) => {
    const { code, stdout, stderr } = await group.run("pulse", args("stranger"), env);
    expect(code).toBe(1);
    const said = stdout + stderr;
    expect(said).toContain(source);
    expect(said).toContain(`postgres://${new URL(database.url).host}`);
    expect(said).not.toContain("pulse.listening");
    expect(said).not.toMatch(/^\s+at /m); // a sentence, no stack
  });

  it("without a PostgreSQL refuse to, and say where they looked", async () => {
    const { port } = new URL(database.url);
    const gone = database.url.replace(`:${port}/`, ":1/");
    const { code, stdout, stderr } = await group.run(
      "pulse",
      [...args("lonely").slice(0, -1), gone],
      { PULSE_SECRET_KEY: secretKey },
    );
    expect(code).toBe(1);
    expect(stdout + stderr).toContain("127.0.0.1:1/");
  });
});
