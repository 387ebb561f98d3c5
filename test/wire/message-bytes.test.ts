import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { shareBytes, toBuffer } from "../../src/wire/message-bytes.js";
import { GrpcToyClient } from "./grpc-client.js";
import { startToy, toyMethod } from "./toy.js";

const { input: NOTE } = toyMethod("Ask");
const note = (text: string) => create(NOTE, { text });

it("a shared message is encoded once, however often it is sent or shared", () => {
  const message = shareBytes(note("to all"));
  const bytes = toBuffer(NOTE, message);
  expect(toBuffer(NOTE, shareBytes(message))).toBe(bytes);
  expect(bytes).toEqual(toBuffer(NOTE, note("to all")));
});

it("any other is encoded anew, as it is by then", () => {
  const message = note("before") as ReturnType<typeof note> & { text: string };
  const before = toBuffer(NOTE, message);
  expect(toBuffer(NOTE, message)).not.toBe(before);
  message.text = "after";
  expect(toBuffer(NOTE, message)).toEqual(toBuffer(NOTE, note("after")));
});

it("a shared message reaches every stream whole, between others and over all connections", async () => {
  const message = shareBytes(note("x".repeat(70_000)));
  const { port } = await startToy({
    async *watch({ text }) {
      yield { text };
      yield message;
      yield message;
    },
  });
  const clients = [new GrpcToyClient(port), new GrpcToyClient(port)];
  const calls = Array.from({ length: 50 }, async (_, i) => {
    const { notes } = (await clients[i % 2]?.call("Watch", [`${i}`])) ?? {};
    return notes?.map((text) => (text.length > 10 ? text.length : text));
  });
  expect(await Promise.all(calls)).toEqual(calls.map((_, i) => [`${i}`, 70_000, 70_000]));
});
