import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { expect, it, onTestFinished, vi } from "vitest";
import { eventually } from "./eventually.js";
import { describePostgresServer } from "./postgres.js";
import { installedBinaries, RUN_AS, runnableBinaries } from "./postgres-binaries.js";
import { PostgresServer, type PostgresServerOptions } from "./postgres-server.js";
import { childrenOf, isAlive, stateOf } from "./process-family.js";

async function start(options?: PostgresServerOptions): Promise<PostgresServer> {
  const server = await PostgresServer.start(options);
  onTestFinished(() => server.dispose());
  return server;
}

async function connect(server: PostgresServer): Promise<pg.Client> {
  const client = new pg.Client(server.url());
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => void client.end()); // not waited for: the server may stand still
  return client;
}

async function rowsOf(server: PostgresServer): Promise<number[]> {
  const { rows } = await (await connect(server)).query<{ id: number }>("select id from kept");
  return rows.map(({ id }) => id);
}

const isDone = async (promise: Promise<unknown>, withinMs: number) =>
  Promise.race([
    promise.then(() => true),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), withinMs)),
  ]);

function familyOf(server: PostgresServer): number[] {
  if (server.pid === undefined) throw new Error("the server is stopped");
  return [server.pid, ...childrenOf(server.pid)];
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "pulse-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

describePostgresServer("a PostgreSQL of a test's own", () => {
  it("keeps data and port when it is stopped and started", async () => {
    const server = await start();
    const url = server.url();
    const client = await connect(server);
    await client.query("create table kept as select 7 as id");

    await server.stop();
    expect(server.pid).toBeUndefined();
    await expect(client.query("select 1")).rejects.toThrow();
    await expect(connect(server)).rejects.toThrow("ECONNREFUSED");

    await server.start();
    expect(server.url()).toBe(url);
    expect(await rowsOf(server)).toEqual([7]);
    expect(await server.log()).not.toContain("was not properly shut down");
  });

  it("crashes as a whole, and recovers what was committed and nothing else", async () => {
    const server = await start();
    const [client, other] = [await connect(server), await connect(server)];
    await client.query("create table kept (id int)");
    await client.query("insert into kept values (1)");
    await other.query("begin; insert into kept values (2)");
    const family = familyOf(server);
    expect(family.length).toBeGreaterThan(3);

    await server.kill();
    expect(family.filter(isAlive)).toEqual([]);

    await server.start();
    expect(await server.log()).toContain("was not properly shut down");
    expect(await rowsOf(server)).toEqual([1]);
  });

  it("stands still with every connection when it is paused, and goes on where it was", async () => {
    const server = await start();
    const client = await connect(server);

    await server.pause();
    expect(new Set(familyOf(server).map(stateOf))).toEqual(new Set(["T"]));
    const answer = client.query("select 1 as one");
    const newcomer = connect(server);
    expect(await isDone(Promise.race([answer, newcomer]), 300)).toBe(false);

    server.resume();
    expect((await answer).rows).toEqual([{ one: 1 }]);
    await newcomer;
  });

  it.each(["stop", "kill", "dispose"] as const)("ends by %s while it is paused", async (end) => {
    const server = await start();
    const family = familyOf(server);
    await server.pause();
    await server[end]();
    expect(family.filter(isAlive)).toEqual([]);
  });

  it("does without fsync unless the test asks for it, and takes 300 connections", async () => {
    const [fast, safe] = await Promise.all([start(), start({ fsync: true })]);
    const show = async (server: PostgresServer, name: string) =>
      (await (await connect(server)).query(`show ${name}`)).rows[0][name];
    expect(await show(fast, "fsync")).toBe("off");
    expect(await show(safe, "fsync")).toBe("on");
    expect(await show(fast, "max_connections")).toBe("300");
    expect(await show(fast, "listen_addresses")).toBe("127.0.0.1");
  });

  it("says what PostgreSQL says when it cannot start, and leaves nothing", async () => {
    const { port } = await start();
    const place = temporaryDirectory();
    chmodSync(place, 0o755);
    vi.stubEnv("TMPDIR", place);
    onTestFinished(() => void vi.unstubAllEnvs());
    await expect(PostgresServer.start({ port, fsync: true })).rejects.toThrow(
      /does not start on port \d+:[\s\S]*Address already in use/,
    );
    expect(readdirSync(place)).toEqual([]);
  });

  it.each(["running", "paused"])(
    "ends, and its data too, with a test that is killed while it is %s",
    async (state) => {
      const module = join(import.meta.dirname, "postgres-server.ts");
      const program = `
      const { PostgresServer } = await import(${JSON.stringify(module)});
      const { childrenOf } = await import(${JSON.stringify(join(import.meta.dirname, "process-family.ts"))});
      const server = await PostgresServer.start();
      if (${state === "paused"}) await server.pause();
      console.log(JSON.stringify({ family: [server.pid, ...childrenOf(server.pid)], directories: Object.values(server.place) }));
      setInterval(() => {}, 1000);`;
      const test = spawn(
        process.execPath,
        ["--import", "tsx", "--input-type=module", "-e", program],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      const [line] = (await once(test.stdout, "data")) as [Buffer];
      const { family, directories } = JSON.parse(line.toString());
      expect(family.every(isAlive)).toBe(true);
      expect(directories.every(existsSync)).toBe(true);

      test.kill("SIGKILL");
      await eventually(() => {
        expect(family.filter(isAlive)).toEqual([]);
        expect(directories.filter(existsSync)).toEqual([]);
      });
    },
  );
});

describePostgresServer("the binaries of PostgreSQL", () => {
  it("run where npm has put them", () => {
    const directory = temporaryDirectory();
    const { postgres } = runnableBinaries(installedBinaries(), directory);
    expect(dirname(dirname(postgres))).toBe(installedBinaries());
    expect(readdirSync(directory)).toEqual([]);
  });

  it("run from a copy where npm has made no links and the checkout is private", async () => {
    const checkout = temporaryDirectory();
    const native = join(checkout, "native");
    cpSync(installedBinaries(), native, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/lib(pq|icuuc)\.so\.\d+$/.test(path),
    });
    if (RUN_AS.uid !== undefined) chmodSync(checkout, 0o700);
    await (await start({ native })).stop();
  });
});
