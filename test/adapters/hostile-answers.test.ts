import type { RequestListener } from "node:http";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { ProbeableKind } from "../../src/adapters/adapter.js";
import { CALL_TIMEOUT_MS } from "../../src/adapters/http-call.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { freePort } from "../support/stack.js";
import { probeOnce, serve } from "./fake-client.js";

// Whatever answers, a probe ends with an outcome, tells no secret, and has no side effect.

const KINDS: readonly ProbeableKind[] = ["aria2", "haul", "qbittorrent"];
const SECRET = "plain-secret";
const target = (kind: ProbeableKind, url: string) => ({
  kind,
  url,
  username: "me",
  secret: SECRET,
});

const HOSTILE: readonly [string, string, RequestListener][] = [
  ["a page instead of an API", "wrong-kind", (_, response) => response.end("<html>hello</html>")],
  [
    "JSON of another program",
    "wrong-kind",
    (_, response) => response.end('{"rid":"x","jsonrpc":1}'),
  ],
  ["JSON that is not an object", "wrong-kind", (_, response) => response.end("null")],
  ["nothing there", "wrong-kind", (_, response) => response.writeHead(404).end("Not Found")],
  ["a server that is not well", "unreachable", (_, response) => response.writeHead(502).end()],
  [
    "an answer cut short",
    "unreachable",
    (_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("v4");
      setImmediate(() => response.destroy());
    },
  ],
  [
    "a body without end",
    "wrong-kind",
    (_, response) => {
      const chunk = "x".repeat(64 * 1024);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", more);
      more();
    },
  ],
];

test.each(KINDS.flatMap((kind) => HOSTILE.map((row) => [kind, ...row] as const)))(
  "%s: %s is %s",
  async (kind, _, outcome, listener) => {
    const probe = await probeOnce(target(kind, await serve(listener)));
    expect(probe.outcome).toBe(outcome);
    expect(JSON.stringify(probe)).not.toContain(SECRET);
  },
);

test.each(KINDS)("%s: a redirect is not followed", async (kind) => {
  let followed = 0;
  const elsewhere = await serve((_, response) => {
    followed += 1;
    response.end("v4.5.2");
  });
  const url = await serve((request, response) =>
    response.writeHead(307, { location: elsewhere + request.url }).end(),
  );
  const probe = await probeOnce(target(kind, url));
  expect(probe).toMatchObject({
    outcome: "wrong-kind",
    message: expect.stringContaining("redirect"),
  });
  expect(followed).toBe(0);
});

test.each(KINDS)("%s: nobody at the port is unreachable", async (kind) => {
  const probe = await probeOnce(target(kind, `http://127.0.0.1:${await freePort()}`));
  expect(probe).toMatchObject({
    outcome: "unreachable",
    message: expect.stringContaining("ECONNREFUSED"),
  });
});

test.each(KINDS)("%s: one that accepts and stays silent is given 5 s", async (kind) => {
  const clock = new ManualClock();
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    onTestFinished(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const probing = probeOnce(target(kind, `http://127.0.0.1:${port}`), clock);
  await eventually(() => expect(accepted).toBe(1));
  clock.advanceSync(CALL_TIMEOUT_MS);
  expect(await probing).toMatchObject({
    outcome: "unreachable",
    message: "it did not answer within 5 s",
  });
  expect(clock.pending).toBe(0);
});
