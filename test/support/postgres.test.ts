import pg from "pg";
import { expect, it, onTestFinished } from "vitest";
import { createDatabase, describePostgres } from "./postgres.js";

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function freshDatabase() {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  return database;
}

describePostgres("a test's database", () => {
  it("is empty, and what one test writes no other sees", async () => {
    const [mine, yours] = await Promise.all([freshDatabase(), freshDatabase()]);
    const client = await connect(mine.url);
    await client.query("create table seen (id int)");

    const tables = "select table_name from information_schema.tables where table_schema = 'public'";
    expect((await client.query(tables)).rows).toEqual([{ table_name: "seen" }]);
    expect((await (await connect(yours.url)).query(tables)).rows).toEqual([]);
  });

  it("is dropped although someone is connected, and he is told", async () => {
    const database = await createDatabase();
    const client = await connect(database.url);
    const told = new Promise<Error>((resolve) => client.once("error", resolve));

    await database.drop();
    expect(await told).toMatchObject({ code: "57P01" });
    await expect(connect(database.url)).rejects.toThrow("does not exist");
  });

  it("can be dropped twice, so that a test may drop it and its end as well", async () => {
    const database = await createDatabase();
    await database.drop();
    await database.drop();
  });

  it("is made for many tests at the same time", async () => {
    const databases = await Promise.all(Array.from({ length: 8 }, freshDatabase));
    expect(new Set(databases.map(({ url }) => url)).size).toBe(8);
  });
});
