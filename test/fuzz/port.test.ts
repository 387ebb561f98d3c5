import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { HAUL, TestPulse } from "../support/pulse.js";
import { damaged } from "./arbitrary.js";
import { anyHttp1, anyHttp2 } from "./raw-bytes.js";

const RUNS = 150;
/** How long a connection is left to the server before the peer goes, without a word. */
const LINGER_MS = 15;

let pulse: TestPulse;
beforeAll(async () => {
  pulse = await TestPulse.start();
});
afterAll(() => pulse.stop());

/** Sends bytes in pieces, and goes. What comes back is not looked at. */
async function pour(pieces: readonly Uint8Array[]): Promise<void> {
  const socket = connect(pulse.server.port, "127.0.0.1");
  socket.on("error", () => {}); // the server may have had enough
  socket.resume();
  await once(socket, "connect");
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
  socket.destroy();
}

async function expectWell(): Promise<void> {
  const response = await fetch(`${pulse.server.url}/healthz`);
  expect(response.status).toBe(200);
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  await registry.register(HAUL);
  expect(pulse.log.lines.filter(({ level }) => level === "error")).toEqual([]);
}

const anything = fc.uint8Array({ maxLength: 2_000 });

it.each([
  ["anything", fc.array(anything, { maxLength: 4 })],
  ["HTTP/1.1 that is nearly right", fc.array(damaged(anyHttp1), { minLength: 1, maxLength: 3 })],
  ["HTTP/2 with any frames", fc.array(anyHttp2, { minLength: 1, maxLength: 1 })],
  ["HTTP/2 that is damaged", fc.array(damaged(anyHttp2), { minLength: 1, maxLength: 2 })],
])("the port survives %s, and honest calls are answered", async (_, pieces) => {
  await fc.assert(fc.asyncProperty(pieces, pour), { numRuns: RUNS });
  await expectWell();
});
