import { Agent, get } from "node:http";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { GrpcToyClient, outcome, rawSession } from "./grpc-client.js";
import { rawSocket } from "./raw-socket.js";
import { startToy, type ToyServer } from "./toy.js";

const GRACE_MS = 5_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function stopTime(server: ToyServer, graceMs = GRACE_MS): Promise<number> {
  const startAt = performance.now();
  await server.stop(graceMs);
  return performance.now() - startAt;
}

describe("stop", () => {
  it("is not held up by connections that wait: silent, half a preface, half a request, HTTP/1.1 keep-alive, HTTP/2", async () => {
    const server = await startToy();
    const agent = new Agent({ keepAlive: true });
    await new Promise<void>((resolve) => {
      get(`${server.url}/healthz`, { agent }, (response) => response.resume().once("end", resolve));
    });
    for (const text of ["", "PRI * HT", "GET / HTTP/1.1\r\nhost"])
      (await rawSocket(server.port)).socket.write(text);
    const client = new GrpcToyClient(server.port);
    await client.call("Ask");
    const session = rawSession(server.port);
    await new Promise((resolve) => session.once("connect", resolve));
    await sleep(50);
    expect(await stopTime(server)).toBeLessThan(1_500);
    agent.destroy();
  });

  it("is held up only a moment by an HTTP/2 peer that does not close its side", async () => {
    const server = await startToy();
    const peer = await rawSocket(server.port);
    peer.socket.pause(); // never sees that we closed
    peer.socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    peer.socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await sleep(50);
    expect(await stopTime(server)).toBeLessThan(2_500);
  });

  it("refuses new connections and lets running calls finish", async () => {
    let answer: (() => void) | undefined;
    const server = await startToy({
      ask: ({ text }) =>
        new Promise((resolve) => {
          answer = () => resolve({ text });
        }),
    });
    const running = new GrpcToyClient(server.port).call("Ask");
    await eventually(() => expect(answer).toBeDefined());
    const stopped = server.stop(GRACE_MS);
    await expect(rawSocket(server.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    answer?.();
    expect(await running).toMatchObject({ code: "OK", notes: ["hello"] });
    await stopped;
  });

  it("lets a running HTTP/1.1 request finish, and closes its connection", async () => {
    const server = await startToy({ ask: () => sleep(200).then(() => ({ text: "late" })) });
    const peer = await rawSocket(server.port);
    const body = '{"text":"x"}';
    peer.socket.write(
      `POST /toy.Toy/Ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await sleep(50);
    expect(await stopTime(server)).toBeLessThan(1_500);
    await peer.closed;
    expect(peer.text).toContain('{"text":"late"}');
  });

  it("ends what still runs after the grace, and its iterators are returned", async () => {
    let isReturned = false;
    const server = await startToy({
      async *chat(_, { signal }) {
        try {
          yield { text: "here" };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
        } finally {
          isReturned = true;
        }
      },
    });
    const call = new GrpcToyClient(server.port).start("Chat");
    const ended = outcome(call);
    call.write({ text: "" });
    await new Promise((resolve) => call.once("data", resolve));
    const stopMs = await stopTime(server, 200);
    expect(stopMs).toBeGreaterThan(150);
    expect(stopMs).toBeLessThan(1_500);
    expect((await ended).code).not.toBe("OK");
    expect(isReturned).toBe(true);
  });

  it("called twice is one stop", async () => {
    const server = await startToy();
    expect(server.stop(GRACE_MS)).toBe(server.stop(0));
  });
});
