import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { eventually } from "./eventually.js";
import { recordClient, sayAndExit } from "./recorded-client.js";
import { seededRandom } from "./seeded-random.js";

/** Answers whatever it hears, and tells what that was and how each connection ended. */
async function echoServer() {
  const heard: string[] = [];
  const ends: string[] = [];
  const server = createServer((socket) => {
    const index = heard.push("") - 1;
    socket.on("data", (part) => {
      heard[index] = `${heard[index]}${part}`;
      socket.write(part);
    });
    socket.on("end", () => ends.push("FIN"));
    socket.on("error", () => ends.push("reset"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, heard, ends };
}

it("records what a client says, while it is answered", async () => {
  const { port, heard } = await echoServer();
  const said = await recordClient(port, async (at) => {
    const client = connect(at, "127.0.0.1").setEncoding("utf8");
    client.write("hello ");
    expect(await once(client, "data")).toEqual(["hello "]);
    client.write("again");
    await once(client, "data");
  });
  expect(said.toString()).toBe("hello again");
  expect(heard).toEqual(["hello again"]);
});

it("says as much again as it likes, and exits in both ways", async () => {
  const { port, heard, ends } = await echoServer();
  const said = Buffer.from("0123456789".repeat(10));
  const random = seededRandom(1);
  for (let n = 0; n < 40; n++) await sayAndExit(port, said, random);
  await eventually(() => expect(ends).toHaveLength(40));
  expect(new Set(ends)).toEqual(new Set(["FIN", "reset"]));
  expect(heard.every((text) => said.toString().startsWith(text))).toBe(true);
  expect(new Set(heard.map(({ length }) => length)).size).toBeGreaterThan(20);
});
