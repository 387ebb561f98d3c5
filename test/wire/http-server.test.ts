import {
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { addressOf, headerOf } from "../../src/wire/handler-context.js";
import { eventually } from "../support/eventually.js";
import { rawSocket } from "./raw-socket.js";
import { startToy, TOY } from "./toy.js";

const never = () => new Promise<never>(() => {});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const TRANSPORTS: Record<string, (url: string) => Transport> = {
  Connect: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect JSON": (baseUrl) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "gRPC-Web": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
};

interface Options {
  readonly signal?: AbortSignal;
  readonly headers?: Record<string, string>;
}
/** The toy service is made at run time, so that the types of its client are not known. */
interface ToyClient {
  ask(note: object, options?: Options): Promise<{ text: string }>;
  watch(note: object, options?: Options): AsyncIterable<{ text: string }>;
}

describe.each(Object.keys(TRANSPORTS))("over %s", (protocol) => {
  const clientOf = (url: string) => {
    const transport = TRANSPORTS[protocol]?.(url);
    if (!transport) throw new Error(protocol);
    return createClient(TOY, transport) as unknown as ToyClient;
  };
  const failureOf = (call: Promise<unknown>) =>
    call.then(
      () => expect.fail("it succeeded"),
      (error: unknown) => error as ConnectError,
    );

  it("a call tells its handler from which address it comes", async () => {
    const { url } = await startToy({ ask: (_, context) => ({ text: addressOf(context) }) });
    expect(await clientOf(url).ask({ text: "" })).toMatchObject({ text: "127.0.0.1" });
  });

  const all = async (notes: AsyncIterable<{ text: string }>) => {
    const texts: string[] = [];
    for await (const { text } of notes) texts.push(text);
    return texts;
  };
  const timeoutHeader = (ms: number): Record<string, string> =>
    protocol === "gRPC-Web" ? { "grpc-timeout": `${ms}m` } : { "connect-timeout-ms": `${ms}` };

  it("the same handlers answer", async () => {
    let who: string | undefined;
    const { url } = await startToy({
      ask({ text }, context: HandlerContext) {
        who = headerOf(context, "X-Who");
        return { text: `re: ${text}` };
      },
    });
    const client = clientOf(url);
    expect((await client.ask({ text: "a" }, { headers: { "x-who": "me" } })).text).toBe("re: a");
    expect(who).toBe("me");
    expect(await all(client.watch({ text: "a" }))).toEqual(["a 1", "a 2"]);
  });

  it("an error keeps its code, message, metadata and details", async () => {
    const fail = () => {
      throw new ConnectError("näh", Code.InvalidArgument, { "x-why": "because" }, [
        { desc: BadRequestSchema, value: { fieldViolations: [{ field: "text" }] } },
      ]);
    };
    const { url, errors } = await startToy({ ask: fail, watch: fail });
    const client = clientOf(url);
    for (const call of [client.ask({}), all(client.watch({}))]) {
      const error = await failureOf(call);
      expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: "näh" });
      expect(error.metadata.get("x-why")).toBe("because");
      expect(error.findDetails(BadRequestSchema)).toMatchObject([
        { fieldViolations: [{ field: "text" }] },
      ]);
    }
    expect(errors).toEqual([]);
  });

  it("an error that is no status leaves as INTERNAL without its text, and is reported", async () => {
    const bug = new Error("secret");
    const { url, errors } = await startToy({
      ask: () => Promise.reject(bug),
      async *watch() {
        yield {};
        throw bug;
      },
    });
    const client = clientOf(url);
    for (const call of [client.ask({}), all(client.watch({}))])
      expect(await failureOf(call)).toMatchObject({
        code: Code.Internal,
        rawMessage: "internal error",
      });
    expect(errors).toEqual([bug, bug]);
  });

  it("a deadline is kept though the handler ignores it", async () => {
    const { url, errors } = await startToy({
      ask: never,
      watch: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
    });
    const client = clientOf(url);
    const options = { headers: timeoutHeader(100) };
    for (const call of [client.ask({}, options), all(client.watch({}, options))])
      expect((await failureOf(call)).code).toBe(Code.DeadlineExceeded);
    expect(errors).toEqual([]);
  });

  it("a deadline far away is not now", async () => {
    const { url } = await startToy({ ask: () => sleep(50).then(() => ({ text: "late" })) });
    const headers =
      protocol === "gRPC-Web"
        ? { "grpc-timeout": "99999999H" }
        : { "connect-timeout-ms": "9999999999" };
    expect((await clientOf(url).ask({}, { headers })).text).toBe("late");
  });

  it("a handler's iterator is returned when the peer goes, while it waits", async () => {
    const log: string[] = [];
    const { url } = await startToy({
      watch: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => (log.push("next") === 1 ? Promise.resolve({ value: {} }) : never()),
          async return() {
            log.push("return");
            return { done: true, value: undefined };
          },
        }),
      }),
    });
    const abort = new AbortController();
    const reading = all(clientOf(url).watch({}, { signal: abort.signal })).catch(() => {});
    await eventually(() => expect(log).toEqual(["next", "next"]));
    abort.abort();
    await reading;
    await eventually(() => expect(log.filter((entry) => entry === "return")).not.toEqual([]));
  });

  it("a message over the limit is RESOURCE_EXHAUSTED, and the next call succeeds", async () => {
    const { url } = await startToy();
    const client = clientOf(url);
    const text = "x".repeat(5 * 1_024 * 1_024); // not all read when it is refused
    for (let i = 0; i < 3; i++)
      expect((await failureOf(client.ask({ text }))).code).toBe(Code.ResourceExhausted);
    expect((await client.ask({ text: "a" })).text).toBe("re: a");
  });
});

describe("over HTTP/1.1", () => {
  it("a peer that never reads makes the server hold a bounded number of messages", async () => {
    let made = 0;
    let isReturned = false;
    const { port } = await startToy({
      async *watch() {
        try {
          for (;;) {
            made += 1;
            yield { text: "x".repeat(100_000) };
          }
        } finally {
          isReturned = true;
        }
      },
    });
    const { socket } = await rawSocket(port);
    socket.pause();
    const body = Buffer.from([0, 0, 0, 0, 2, ...Buffer.from("{}")]);
    socket.write(
      `POST /toy.Toy/Watch HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
    await eventually(() => expect(made).toBeGreaterThan(1));
    await sleep(300);
    const madeSoFar = made;
    await sleep(100);
    expect(made).toBe(madeSoFar); // what the kernel buffers, megabytes on loopback
    socket.resetAndDestroy();
    await eventually(() => expect(isReturned).toBe(true), 2_000);
  });

  it("gRPC is 415 with a hint", async () => {
    const { url } = await startToy();
    for (const type of ["application/grpc", "application/grpc+proto"]) {
      const response = await fetch(`${url}/toy.Toy/Ask`, {
        method: "POST",
        headers: { "content-type": type },
        body: "x",
      });
      expect([response.status, await response.text()]).toEqual([
        415,
        expect.stringContaining("HTTP/2"),
      ]);
    }
  });

  it("an unknown path is 404, a bidirectional stream 505", async () => {
    const { url } = await startToy();
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    const chat = await fetch(`${url}/toy.Toy/Chat`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: "",
    });
    expect(chat.status).toBe(505);
  });

  it("a route that throws is 500 and reported", async () => {
    const { url, errors } = await startToy();
    expect((await fetch(`${url}/throws`)).status).toBe(500);
    expect(errors).toMatchObject([{ message: "in a route" }]);
  });

  it.each([
    ["no Host", "POST /toy.Toy/Ask HTTP/1.0\r\ncontent-type: application/json\r\n\r\n"],
    [
      "a bad Host",
      "POST /toy.Toy/Ask HTTP/1.1\r\nhost: [\r\ncontent-type: application/json\r\n\r\n",
    ],
  ])("a call with %s is 400, and the next succeeds", async (_, request) => {
    const { port, url } = await startToy();
    const peer = await rawSocket(port);
    peer.socket.write(request);
    await eventually(() => expect(peer.text).toMatch(/^HTTP\/1.1 400 /));
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it("headers over the limit are 431", async () => {
    const { port } = await startToy({}, { maxHeaderBytes: 2_000 });
    const peer = await rawSocket(port);
    peer.socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${"x".repeat(3_000)}\r\n\r\n`);
    await peer.closed;
    expect(peer.text).toMatch(/^HTTP\/1.1 431 /);
  });

  it("a body that never ends is closed", async () => {
    const { port, errors } = await startToy({}, { headersTimeoutMs: 100, requestTimeoutMs: 200 });
    const peer = await rawSocket(port);
    peer.socket.write(
      "POST /toy.Toy/Ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    );
    expect(await peer.closed).toBeLessThan(5_000);
    expect(errors).toEqual([]);
  });
});
