import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Connection } from "../../bench/generator/connection.js";
import { encodeGrpcMessage } from "../../bench/generator/frames.js";
import { HeartbeatWriter, problemOfHeartbeat } from "../../bench/generator/messages.js";

// A benchmark that cannot see failures is worth nothing.

let server: Http2Server | undefined;
let connection: Connection | undefined;

afterEach(() => {
  connection?.close();
  server?.close();
});

/** One call to a server that answers like this. */
async function call(answer: (stream: ServerHttp2Stream) => void): Promise<{
  messages: string[];
  problem: string | undefined;
}> {
  const listening = createServer().on("stream", (stream) => {
    stream.on("error", () => {}); // some of the answers are errors on this side too
    answer(stream);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as AddressInfo;
  const made = new Connection({ port, token: "t", isEcho: false });
  connection = made;
  const messages: string[] = [];
  return new Promise((resolve) => {
    made.callOnce("/pulse.v1.RegistryService/Register", Buffer.from("request"), {
      onMessage: (message) => messages.push(message.toString()),
      onEnd: (problem) => resolve({ messages, problem }),
    });
  });
}

function answerWith(trailers: Record<string, string>, ...chunks: Uint8Array[]) {
  return (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
  };
}

const framed = encodeGrpcMessage(Buffer.from("answer"));

describe("a call of the load generator", () => {
  it("ends well with grpc-status 0, and gives the message", async () => {
    expect(await call(answerWith({ "grpc-status": "0" }, framed))).toEqual({
      messages: ["answer"],
      problem: undefined,
    });
  });

  it("puts a message together from pieces", async () => {
    const pieces = [framed.subarray(0, 3), framed.subarray(3, 7), framed.subarray(7)];
    const { messages } = await call(answerWith({ "grpc-status": "0" }, ...pieces));
    expect(messages).toEqual(["answer"]);
  });

  it("fails by another status, in trailers or instead of headers", async () => {
    const status = { "grpc-status": "16", "grpc-message": "the%20token is bad" };
    const inTrailers = await call(answerWith(status, framed));
    expect(inTrailers.problem).toBe("grpc-status 16: the token is bad");
    const alone = await call((stream) => stream.respond(status, { endStream: true }));
    expect(alone.problem).toBe("grpc-status 16: the token is bad");
  });

  it("fails without a status, by a reset, within a message, and when the server goes", async () => {
    const problems = [
      await call(answerWith({}, framed)),
      await call((stream) => stream.close(2)),
      await call(answerWith({ "grpc-status": "0" }, framed.subarray(0, 8))),
      await call((stream) => stream.session?.destroy()),
    ].map(({ problem }) => problem);
    expect(problems).toEqual([
      "ended without grpc-status",
      "RST_STREAM 2",
      "ended within a message",
      "GOAWAY 0",
    ]);
  });
});

it("a heartbeat that is answered with anything but its renewal fails", () => {
  const sent = new HeartbeatWriter("lease-1");
  sent.next();
  const renewed = Buffer.from("0a0b0a076c656173652d311001", "hex");
  expect(problemOfHeartbeat(renewed, sent)).toBeUndefined();
  const lost = Buffer.from("120b0a076c656173652d311003", "hex");
  expect(problemOfHeartbeat(lost, sent)).toBe("lease lost: 3");
  expect(problemOfHeartbeat(Buffer.from("1a00", "hex"), sent)).toBe("answered with draining");
});
