import { type AddressInfo, createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { PostgresPool } from "../../src/store/postgres-pool.js";
import { describePostgres } from "../support/postgres.js";
import { postgresPlace } from "./engines.js";

async function pool(max: number): Promise<PostgresPool> {
  const { url } = await postgresPlace();
  const limits = { max, deadlineMs: 5_000, clock: systemClock };
  const made = new PostgresPool({ url, applicationName: "pulse test", ...limits });
  onTestFinished(() => made.end());
  return made;
}

describePostgres("a connection of the pool", () => {
  it("that is given back in the middle of a transaction, or of a failed one, nobody gets", async () => {
    const connections = await pool(1);
    for (const statements of [["begin"], ["begin", "select nonsense"]]) {
      const first = await connections.connect();
      for (const statement of statements) await first.query(statement, []).catch(() => {});
      first.release();
      const second = await connections.connect();
      await second.query("begin", []);
      expect((await second.query("select 1 as one", [])).rows).toEqual([{ one: 1n }]);
      await second.query("commit", []);
      second.release();
    }
  });

  it("that is given back in order, the next one gets", async () => {
    const connections = await pool(1);
    const pid = async () => {
      const client = await connections.connect();
      const { rows } = await client.query("select pg_backend_pid() as pid", []);
      client.release();
      return rows;
    };
    expect(await pid()).toEqual(await pid());
  });

  it("has its name in the server's list", async () => {
    const client = await (await pool(1)).connect();
    const { rows } = await client.query(
      "select application_name from pg_stat_activity where pid = pg_backend_pid()",
      [],
    );
    expect(rows).toEqual([{ application_name: "pulse test" }]);
    client.release();
  });
});

/** A message of the server: its letter, its length, what it says. */
function message(letter: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(letter, "latin1");
  bytes.writeUInt32BE(4 + body.length, 1);
  bytes.write(body, 5, "latin1");
  return bytes;
}

it("a connection that is ended in the same breath as it was greeted harms nobody", async () => {
  const fatal = "SFATAL\0C57P01\0Mterminating connection\0\0";
  const greeting = [message("R", "\0\0\0\0"), message("Z", "I"), message("E", fatal)];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(Buffer.concat(greeting)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const connections = new PostgresPool({
    url: `postgres://me@127.0.0.1:${port}/pulse?sslmode=disable`,
    applicationName: "pulse test",
    max: 1,
    deadlineMs: 5_000,
    clock: systemClock,
  });
  onTestFinished(() => connections.end());
  for (let i = 0; i < 3; i++) {
    const client = await connections.connect();
    await expect(client.query("select 1", [])).rejects.toThrow(/Client has encountered/);
    client.release();
  }
});
