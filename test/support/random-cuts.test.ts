import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { RandomCuts } from "./random-cuts.js";
import { seededRandom } from "./seeded-random.js";

it("cuts each connection after some bytes of either side, and none while it rests", async () => {
  const echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  onTestFinished(() => void echo.close());
  const cuts = await RandomCuts.open((echo.address() as AddressInfo).port, 1, seededRandom(1), 100);
  onTestFinished(() => cuts.close());
  const speak = (): Socket => {
    const client = connect(cuts.ports[0] ?? 0, "127.0.0.1");
    client.on("error", () => {}).resume();
    client.write("x".repeat(1_000));
    return client;
  };

  const first = speak();
  await once(first, "data");
  expect(cuts.count).toBe(0);
  cuts.begin();
  first.write("x".repeat(1_000));
  for (let n = 1; n <= 5; n++) {
    await cuts.reach(n);
    if (n < 5) speak();
  }
  await cuts.rest();
  const last = speak();
  await once(last, "data");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(last.closed).toBe(false);
  expect(cuts.count).toBe(5);
});
