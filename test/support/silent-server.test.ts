import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { eventually } from "./eventually.js";
import { SilentServer } from "./silent-server.js";

let server: SilentServer;

beforeEach(async () => {
  server = await SilentServer.start();
  return () => server.close();
});

async function client(): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

it("a silent server reads all and says nothing", async () => {
  const socket = await client();
  let heard = "";
  for (const event of ["data", "end", "error"]) socket.on(event, () => (heard += event));
  socket.write("x".repeat(30_000_000)); // more than a kernel keeps for who does not read
  await eventually(() => expect(socket.writableLength).toBe(0));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(heard).toBe("");
});

it("a silent server counts who came and who is there", async () => {
  const [one, two] = [await client(), await client(), await client()];
  await eventually(() => expect([server.accepted, server.connections]).toEqual([3, 3]));
  one.destroy();
  two.resetAndDestroy();
  await eventually(() => expect([server.accepted, server.connections]).toEqual([3, 1]));
});

it("a silent server resets who is there when it is closed, and leaves its port", async () => {
  const socket = await client();
  const reset = once(socket, "end").catch((error: unknown) => error);
  await eventually(() => expect(server.connections).toBe(1));
  await server.close();
  expect(await reset).toMatchObject({ code: "ECONNRESET" });
  expect(server.connections).toBe(0);

  const again = await SilentServer.start(server.port);
  expect(again.port).toBe(server.port);
  await expect(SilentServer.start(again.port)).rejects.toThrow("EADDRINUSE");
  await again.close();
  await again.close();
});
