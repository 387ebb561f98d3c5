import { Code, ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { describe, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { addressOf, headerOf } from "../../src/wire/handler-context.js";
import { toHeaders } from "../../src/wire/metadata.js";
import { eventually } from "../support/eventually.js";
import { GrpcToyClient, outcome, rawCall } from "./grpc-client.js";
import { type Note, startToy, type ToyHandlers } from "./toy.js";

const never = () => new Promise<never>(() => {});
async function* streamOf(...values: unknown[]) {
  yield* values;
}
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// That no handler, whatever it does, leaves an unhandled rejection, is tested by all of
// them: vitest fails on any.

describe("a call of each kind", () => {
  it("unary, from a handler that replies at once", async () => {
    const { port } = await startToy();
    expect(await new GrpcToyClient(port).call("Ask")).toMatchObject({
      code: "OK",
      notes: ["re: hello"],
    });
  });

  it("from an address that its handler can ask for", async () => {
    const { port } = await startToy({ ask: (_, context) => ({ text: addressOf(context) }) });
    expect(await new GrpcToyClient(port).call("Ask")).toMatchObject({ notes: ["127.0.0.1"] });
  });

  it("unary, from a handler that replies later", async () => {
    const { port } = await startToy({ ask: async ({ text }) => ({ text }) });
    expect((await new GrpcToyClient(port).call("Ask")).notes).toEqual(["hello"]);
  });

  it("server stream", async () => {
    const { port } = await startToy();
    expect(await new GrpcToyClient(port).call("Watch")).toMatchObject({
      code: "OK",
      notes: ["hello 1", "hello 2"],
    });
  });

  it("client stream, longer than what waits at once", async () => {
    const { port } = await startToy();
    const texts = Array.from({ length: 500 }, (_, i) => `${i}`);
    const { code, notes } = await new GrpcToyClient(port).call("Collect", texts);
    expect({ code, notes }).toEqual({ code: "OK", notes: [texts.join()] });
  });

  it("both streams; what a handler says after the half-close still arrives", async () => {
    const { port } = await startToy();
    expect(await new GrpcToyClient(port).call("Chat", ["a", "b"])).toMatchObject({
      code: "OK",
      notes: ["re: a", "re: b", "bye"],
    });
  });

  it("both streams, answered one by one while they are open", async () => {
    const { port } = await startToy();
    const call = new GrpcToyClient(port).start("Chat");
    for (const text of ["a", "b"]) {
      call.write({ text });
      const note = await new Promise<Note>((resolve) => call.once("data", resolve));
      expect(note.text).toBe(`re: ${text}`);
    }
    call.end();
    expect(await outcome(call)).toMatchObject({ code: "OK", notes: ["bye"] });
  });

  it("a method that does not exist is UNIMPLEMENTED", async () => {
    const { port } = await startToy();
    const { client } = new GrpcToyClient(port);
    const code = await new Promise((resolve) =>
      client.makeUnaryRequest(
        "/toy.Toy/None",
        () => Buffer.alloc(0),
        () => undefined,
        undefined,
        (error) => resolve(error?.code),
      ),
    );
    expect(code).toBe(Code.Unimplemented);
  });
});

describe("the context", () => {
  it("gives headers, values, signal, timeout and names, only when asked", async () => {
    const seen: Record<string, unknown> = {};
    const { port } = await startToy({
      ask(_, context) {
        Object.assign(seen, {
          header: headerOf(context, "x-who"),
          missing: headerOf(context, "x-none"),
          all: context.requestHeader.get("x-who"),
          binary: context.requestHeader.get("x-data-bin"),
          aborted: context.signal.aborted,
          timeoutMs: context.timeoutMs(),
          method: `${context.service.typeName}/${context.method.name}`,
          url: context.url,
        });
        return {};
      },
    });
    const metadata = { "x-who": "me" };
    await new GrpcToyClient(port).call("Ask", [""], { metadata, deadline: Date.now() + 60_000 });
    expect(seen).toMatchObject({
      header: "me",
      missing: undefined,
      all: "me",
      aborted: false,
      method: "toy.Toy/Ask",
      url: `http://127.0.0.1:${port}/toy.Toy/Ask`,
    });
    expect(seen.timeoutMs).toBeGreaterThan(50_000);
    expect(seen.timeoutMs).toBeLessThanOrEqual(60_000);
  });

  it.each(["Ask", "Watch", "Collect", "Chat"] as const)(
    "response headers and trailers are sent: %s",
    async (name) => {
      const decorate = (context: { responseHeader: Headers; responseTrailer: Headers }) => {
        context.responseHeader.set("x-head", "h");
        context.responseTrailer.set("x-tail", "t");
        context.responseTrailer.set("x-data-bin", "AQI");
      };
      const { port } = await startToy({
        ask(_, context) {
          decorate(context);
          return {};
        },
        async *watch(_, context) {
          decorate(context);
          yield {};
        },
        async collect(_, context) {
          decorate(context);
          return {};
        },
        async *chat(_, context) {
          decorate(context);
          yield {};
        },
      });
      const { code, header, trailer } = await new GrpcToyClient(port).call(name);
      expect([code, header.get("x-head"), trailer.get("x-tail")]).toEqual(["OK", ["h"], ["t"]]);
      expect(trailer.get("x-data-bin")).toEqual([Buffer.from([1, 2])]);
    },
  );
});

describe("an error", () => {
  const refusal = () =>
    new ConnectError("näh \ud800", Code.InvalidArgument, { "x-why": "because" }, [
      {
        desc: BadRequestSchema,
        value: { fieldViolations: [{ field: "text", description: "too short" }] },
      },
    ]);

  it.each(["Ask", "Watch", "Collect", "Chat"] as const)(
    "keeps its code, message, metadata and details: %s",
    async (name) => {
      const fail = () => {
        throw refusal();
      };
      const { port, errors } = await startToy({
        ask: fail,
        watch: fail,
        collect: () => Promise.reject(refusal()),
        // biome-ignore lint/correctness/useYield: it fails before its first response
        async *chat() {
          throw refusal();
        },
      });
      const result = await new GrpcToyClient(port).call(name);
      expect(result).toMatchObject({ code: "INVALID_ARGUMENT", details: "näh \ufffd", notes: [] });
      expect(result.trailer.get("x-why")).toEqual(["because"]);
      const error = findTrailerError(toHeaders(result.trailer));
      expect(error?.findDetails(BadRequestSchema)).toMatchObject([
        { fieldViolations: [{ field: "text", description: "too short" }] },
      ]);
      expect(errors).toEqual([]);
    },
  );

  it.each(["Ask", "Watch", "Collect", "Chat"] as const)(
    "that is no status leaves as INTERNAL without its text, and is reported: %s",
    async (name) => {
      const bug = new Error("secret");
      const fail = () => {
        throw bug;
      };
      const { port, errors } = await startToy({
        ask: () => Promise.reject(bug),
        watch: fail,
        collect: fail,
        chat: fail,
      });
      expect(await new GrpcToyClient(port).call(name)).toMatchObject({
        code: "INTERNAL",
        details: "internal error",
      });
      expect(errors).toEqual([bug]);
    },
  );

  it("after some responses comes behind them", async () => {
    const { port } = await startToy({
      async *watch() {
        yield { text: "one" };
        yield { text: "two" };
        throw refusal();
      },
    });
    expect(await new GrpcToyClient(port).call("Watch")).toMatchObject({
      code: "INVALID_ARGUMENT",
      notes: ["one", "two"],
    });
  });

  const unsendable = { text: Symbol() };
  it.each<[string, ToyHandlers, "Ask" | "Watch"]>([
    ["what cannot be encoded", { ask: () => unsendable }, "Ask"],
    ["no iterable", { watch: () => 5 }, "Watch"],
    ["a stream of what cannot be encoded", { watch: () => streamOf(unsendable) }, "Watch"],
  ])("a handler that returns %s is reported", async (_, handlers, name) => {
    const { port, errors } = await startToy(handlers);
    expect((await new GrpcToyClient(port).call(name)).code).toBe("INTERNAL");
    expect(errors).toHaveLength(1);
  });

  it("headers and trailers that cannot be sent are reported", async () => {
    let closed = false;
    const { port, errors } = await startToy({
      ask(_, { responseTrailer }) {
        responseTrailer.set("x", "\u00e9");
        return {};
      },
      async *watch(_, { responseHeader }) {
        try {
          responseHeader.set("x", "\u00e9");
          yield {};
        } finally {
          closed = true;
        }
      },
    });
    const client = new GrpcToyClient(port);
    expect((await client.call("Ask")).code).toBe("INTERNAL");
    expect((await client.call("Watch")).code).toBe("INTERNAL");
    expect(errors).toHaveLength(2);
    expect(closed).toBe(true);
  });
});

describe("when the peer cancels", () => {
  it.each(["Watch", "Chat"] as const)(
    "the iterator is returned while it waits for its next response: %s",
    async (name) => {
      const log: string[] = [];
      const responses = {
        [Symbol.asyncIterator]: () => ({
          next() {
            log.push("next");
            return never();
          },
          async return() {
            log.push("return");
            return { done: true, value: undefined };
          },
        }),
      };
      const { port, errors } = await startToy({ watch: () => responses, chat: () => responses });
      const call = new GrpcToyClient(port).start(name);
      const ended = outcome(call);
      call.write({ text: "" });
      if (name === "Watch") call.end();
      await eventually(() => expect(log).toEqual(["next"]));
      call.cancel();
      expect((await ended).code).toBe("CANCELLED");
      await eventually(() => expect(log).toEqual(["next", "return"]));
      expect(errors).toEqual([]);
    },
  );

  it("a generator runs its cleanup, the signal aborts, and the requests fail", async () => {
    const log: string[] = [];
    const { port, errors } = await startToy({
      async *chat(notes, { signal }) {
        signal.addEventListener("abort", () => log.push(`abort ${Code[signal.reason.code]}`));
        try {
          for await (const note of notes) yield note;
        } catch (error) {
          log.push(`requests ${Code[(error as ConnectError).code]}`);
          throw error;
        } finally {
          log.push("finally");
        }
      },
    });
    const call = new GrpcToyClient(port).start("Chat");
    const ended = outcome(call);
    call.write({ text: "" });
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await ended;
    await eventually(() =>
      expect(log.sort()).toEqual(["abort Canceled", "finally", "requests Canceled"]),
    );
    expect(errors).toEqual([]);
  });

  it("a client stream that was not complete never looks complete", async () => {
    let end: unknown;
    const { port } = await startToy({
      async collect(notes) {
        try {
          for await (const _ of notes) await sleep(5);
          end = "complete";
        } catch (error) {
          end = error;
        }
        return {};
      },
    });
    const call = new GrpcToyClient(port).start("Collect");
    const ended = outcome(call);
    for (let i = 0; i < 100; i++) call.write({ text: "x" });
    await sleep(50);
    call.cancel();
    await ended;
    await eventually(() => expect(end).toMatchObject({ code: Code.Canceled }));
  });

  it("a bug in the cleanup is reported", async () => {
    const { port, errors } = await startToy({
      async *watch(_, { signal }) {
        yield {};
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        throw new Error("in the cleanup");
      },
    });
    const call = new GrpcToyClient(port).start("Watch");
    const ended = outcome(call);
    call.write({ text: "" });
    call.end();
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await ended;
    await eventually(() => expect(errors).toMatchObject([{ message: "in the cleanup" }]));
  });
});

describe("a deadline", () => {
  it.each(["Ask", "Watch", "Collect", "Chat"] as const)(
    "is kept though the handler ignores it: %s",
    async (name) => {
      const { port, errors } = await startToy({
        ask: never,
        collect: never,
        watch: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
        chat: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
      });
      // The client's own deadline must not answer in the server's place.
      const metadata = { "grpc-timeout": "100m" };
      const { code } = await new GrpcToyClient(port).call(name, ["x"], { metadata });
      expect(code).toBe("DEADLINE_EXCEEDED");
      expect(errors).toEqual([]);
    },
  );

  it("aborts the signal with DEADLINE_EXCEEDED", async () => {
    let reason: unknown;
    const { port } = await startToy({
      ask: (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reason = signal.reason;
            reject(signal.reason);
          });
        }),
    });
    await new GrpcToyClient(port).call("Ask", [""], { metadata: { "grpc-timeout": "50m" } });
    await eventually(() => expect(reason).toMatchObject({ code: Code.DeadlineExceeded }));
  });

  it("ends a stream whose peer reads nothing", async () => {
    let isReturned = false;
    const { port } = await startToy({
      async *watch() {
        try {
          for (;;) yield { text: "x".repeat(100_000) };
        } finally {
          isReturned = true;
        }
      },
    });
    const call = new GrpcToyClient(port).start("Watch", { metadata: { "grpc-timeout": "200m" } });
    call.on("error", () => {});
    call.write({ text: "" });
    call.end();
    await eventually(() => expect(isReturned).toBe(true), 2_000);
    call.cancel();
  });

  it.each(["99999999H", "99999999M", "600H", "99999999S"])(
    "of %s is far away, not now",
    async (timeout) => {
      let timeoutMs = 0;
      const { port } = await startToy({
        async ask(_, context) {
          timeoutMs = context.timeoutMs() ?? 0;
          await sleep(50);
          return {};
        },
      });
      const metadata = { "grpc-timeout": timeout };
      expect((await new GrpcToyClient(port).call("Ask", [""], { metadata })).code).toBe("OK");
      expect(timeoutMs / 86_400_000).toBeCloseTo(24, 2);
    },
  );

  it.each(["x", "123456789S", "1S, 2S", "-1S"])("of %j is refused", async (timeout) => {
    const { port } = await startToy({ ask: never });
    const metadata = { "grpc-timeout": timeout };
    expect((await new GrpcToyClient(port).call("Ask", [""], { metadata })).code).toBe("INTERNAL");
  });
});

describe("a peer that is slow", () => {
  it("or never reads makes the server hold a bounded number of messages", async () => {
    let made = 0;
    const { port } = await startToy({
      async *watch() {
        for (;;) {
          made += 1;
          yield { text: "x".repeat(10_000) };
        }
      },
    });
    const stream = rawCall(port, "Watch"); // grpc-js's own client reads ahead
    await sleep(500);
    const madeSoFar = made;
    await sleep(200);
    expect(made).toBe(madeSoFar);
    expect(made).toBeLessThan(12); // a flow control window, and two more
    stream.close();
  });

  it("of a handler that does not read makes the sender wait", async () => {
    let read = 0;
    let go = () => {};
    const { port } = await startToy({
      async collect(notes) {
        for await (const _ of notes) {
          read += 1;
          if (read === 1)
            await new Promise<void>((resolve) => {
              go = resolve;
            });
        }
        return { text: `${read}` };
      },
    });
    const call = new GrpcToyClient(port).start("Collect");
    const ended = outcome(call);
    let sent = 0;
    const send = () => {
      while (sent < 2_000) {
        sent += 1;
        if (!call.write({ text: "x".repeat(10_000) })) return void call.once("drain", send);
      }
      call.end();
    };
    send();
    await sleep(300);
    expect(sent).toBeLessThan(300);
    go();
    expect((await ended).notes).toEqual(["2000"]);
  });

  it("to a handler that has stopped reading is still known to be gone", async () => {
    let isClosed = false;
    const { port } = await startToy({
      async *chat(notes, { signal }) {
        for await (const note of notes) {
          yield note;
          break;
        }
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        isClosed = true;
      },
    });
    const call = new GrpcToyClient(port).start("Chat");
    const ended = outcome(call);
    for (let i = 0; i < 200; i++) call.write({ text: "x".repeat(1_000) });
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await ended;
    await eventually(() => expect(isClosed).toBe(true), 2_000);
  });

  it("and resets politely, with all its messages unread, is gone as well", async () => {
    let isClosed = false;
    const { port } = await startToy({
      async *chat(notes, { signal }) {
        signal.addEventListener("abort", () => {
          isClosed = true;
        });
        for await (const _ of notes) await never();
        yield {};
      },
    });
    const stream = rawCall(port, "Chat", Array(200).fill("x".repeat(200)));
    await sleep(100);
    stream.close(0); // NO_ERROR
    await eventually(() => expect(isClosed).toBe(true), 2_000);
  });
});
