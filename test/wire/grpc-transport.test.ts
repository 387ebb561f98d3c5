import { execFile } from "node:child_process";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { toMetadata } from "../../src/wire/metadata.js";
import {
  type BareHandlers,
  renewalOf,
  type StreamCall,
  serviceOf,
  startBareServer,
} from "../support/bare-grpc-server.js";
import { eventually } from "../support/eventually.js";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(handlers: BareHandlers, port?: number) {
  const server = await startBareServer(handlers, port);
  closers.push(() => server.stop());
  return server;
}

function clientOf(address: string, interceptors: Interceptor[] = []) {
  const transport = createGrpcTransport({ address, interceptors });
  closers.push(() => transport.close());
  return createClient(RegistryService, transport);
}

/** A TCP server that accepts and never says a word. */
async function silentServer(port = 0) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).resume(); // or it would not hear of an end
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address() as { port: number };
  return { address: `http://127.0.0.1:${address.port}`, sockets };
}

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`no ConnectError but ${error}`);
  return error;
}

const echo = (call: StreamCall) => {
  call.on("data", (request) => call.write(renewalOf(request)));
  call.on("end", () => call.end());
};

async function* beats(...leaseIds: string[]) {
  for (const leaseId of leaseIds) yield { leaseId, sequence: 1n };
}

it("carries calls with interceptors of their own over its one connection", async () => {
  const peers = new Set<string>();
  const seen: string[] = [];
  const { address } = await serve({
    unary(call, callback) {
      peers.add(call.getPeer());
      seen.push(String(call.metadata.get("authorization")));
      callback(null, serviceOf("x"));
    },
  });
  const bearer =
    (token: string): Interceptor =>
    (next) =>
    (request) => {
      request.header.set("authorization", token);
      return next(request);
    };
  const transport = createGrpcTransport({ address, interceptors: [bearer("common")] });
  closers.push(() => transport.close());
  const clients = [transport, transport.with([bearer("one")]), transport.with([bearer("two")])];
  for (const each of clients) await createClient(RegistryService, each).getService({ id: "x" });
  expect(seen).toEqual(["common", "one", "two"]);
  expect(peers.size).toBe(1);
});

describe("a unary call", () => {
  it("carries headers both ways, and trailers back", async () => {
    const { address } = await serve({
      unary(call, callback) {
        const header = new Metadata();
        header.set("seen", String(call.metadata.get("authorization")));
        call.sendMetadata(header);
        const trailer = new Metadata();
        trailer.set("some-bin", Buffer.from([1, 2, 255]));
        callback(null, serviceOf(call.request.id), trailer);
      },
    });
    let header = new Headers();
    let trailer = new Headers();
    const reply = await clientOf(address).getService(
      { id: "seven" },
      {
        headers: { authorization: "Bearer x" },
        onHeader: (received) => {
          header = received;
        },
        onTrailer: (received) => {
          trailer = received;
        },
      },
    );
    expect(reply.service?.id).toBe("seven");
    expect(header.get("seen")).toBe("Bearer x");
    expect(trailer.get("some-bin")).toBe("AQL/");
  });

  it("fails with the server's code, message and details", async () => {
    const { address } = await serve({
      unary(_call, callback) {
        const details = [{ desc: ErrorInfoSchema, value: { reason: "WHY", domain: "pulse" } }];
        const error = new ConnectError("größer als 100 %", Code.NotFound, undefined, details);
        const metadata = toMetadata(setTrailerStatus(new Headers(), error));
        callback({ code: 5, details: error.rawMessage, metadata });
      },
    });
    const error = await errorOf(clientOf(address).getService({ id: "x" }));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, "größer als 100 %"]);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("WHY");
  });

  it("to a port where nobody listens is UNAVAILABLE, not cancelled", async () => {
    const server = await startBareServer({});
    server.stop();
    const error = await errorOf(clientOf(server.address).getService({ id: "x" }));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.rawMessage).toMatch(/^no connection: connect ECONNREFUSED 127\.0\.0\.1:\d+$/);
  });

  it("to a server that accepts and stays silent ends at its timeout", async () => {
    const { address } = await silentServer();
    const error = await errorOf(clientOf(address).getService({ id: "x" }, { timeoutMs: 200 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
  });

  it("that is aborted fails with the signal's reason, and the server learns of it", async () => {
    let cancelled = false;
    const { address } = await serve({
      unary: (call) =>
        void call.on("cancelled", () => {
          cancelled = true;
        }),
    });
    const controller = new AbortController();
    const call = clientOf(address).getService({ id: "x" }, { signal: controller.signal });
    setTimeout(() => controller.abort(new ConnectError("enough", Code.Aborted)), 100);
    expect((await errorOf(call)).rawMessage).toBe("enough");
    await eventually(() => expect(cancelled).toBe(true));
  });

  it("tells the server the deadline that an interceptor has shortened", async () => {
    let deadline = 0;
    const { address } = await serve({
      unary(call, callback) {
        deadline = Number(call.getDeadline());
        callback(null, serviceOf("x"));
      },
    });
    const shorten: Interceptor = (next) => (request) => {
      request.header.set("grpc-timeout", "2S");
      return next(request);
    };
    await clientOf(address, [shorten]).getService({ id: "x" }, { timeoutMs: 60_000 });
    expect(deadline - Date.now()).toBeLessThan(2_500);
  });
});

describe("a stream", () => {
  it("sends, receives, and ends on both sides", async () => {
    const { address } = await serve({ stream: echo });
    const leaseIds: string[] = [];
    for await (const { event } of clientOf(address).heartbeat(beats("a", "b", "c")))
      leaseIds.push(event.case === "renewed" ? event.value.leaseId : "");
    expect(leaseIds).toEqual(["a", "b", "c"]);
  });

  it("that the server ends with an error hands out what came before it", async () => {
    const { address } = await serve({
      stream: (call) =>
        void call.once("data", (request) => {
          call.write(renewalOf(request));
          call.emit("error", { code: 14, details: "stopping" });
        }),
    });
    let received = 0;
    const call = async () => {
      for await (const _ of clientOf(address).heartbeat(beats("a"))) received++;
    };
    const error = await errorOf(call());
    expect([received, error.code, error.rawMessage]).toEqual([1, Code.Unavailable, "stopping"]);
  });

  it("that is refused before its first message fails with the server's code", async () => {
    const { address } = await serve({
      stream: (call) => void call.emit("error", { code: 16, details: "who are you" }),
    });
    const call = async () => {
      for await (const _ of clientOf(address).heartbeat(beats("a")));
    };
    expect((await errorOf(call())).code).toBe(Code.Unauthenticated);
  });

  it("that is aborted is cancelled at the server, and its requests are no longer read", async () => {
    let cancelled = false;
    let returned = false;
    const { address } = await serve({
      stream(call) {
        echo(call);
        call.on("cancelled", () => {
          cancelled = true;
        });
      },
    });
    const controller = new AbortController();
    const requests = {
      [Symbol.asyncIterator]() {
        let sent = 0;
        return {
          next: () =>
            sent++ === 0
              ? Promise.resolve({ done: false as const, value: { leaseId: "a" } })
              : new Promise<never>(() => {}),
          return: async () => {
            returned = true;
            return { done: true as const, value: undefined };
          },
        };
      },
    };
    const call = async () => {
      const { signal } = controller;
      for await (const _ of clientOf(address).heartbeat(requests, { signal })) controller.abort();
    };
    expect((await errorOf(call())).code).toBe(Code.Canceled);
    await eventually(() => expect([cancelled, returned]).toEqual([true, true]));
  });

  it("whose server does not read holds a bounded number of requests back", async () => {
    const { address } = await serve({ stream: (call) => void call.pause() });
    const controller = new AbortController();
    let produced = 0;
    async function* endless() {
      for (;;) {
        produced++;
        yield { leaseId: "x".repeat(10_000) };
      }
    }
    const call = (async () => {
      const { signal } = controller;
      for await (const _ of clientOf(address).heartbeat(endless(), { signal }));
    })();
    let before = -1;
    await eventually(async () => {
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(produced).toBe(before);
    });
    expect(produced).toBeLessThan(1_000);
    controller.abort();
    await errorOf(call);
  });
});

describe("the connection", () => {
  it("comes back by itself when the server does", async () => {
    const first = await serve({});
    const client = clientOf(first.address);
    await client.getService({ id: "x" });
    first.stop();
    await errorOf(client.getService({ id: "x" }));
    await serve({}, first.port);
    await eventually(() => client.getService({ id: "x" }), 5_000);
  });

  it("comes up without a call when it is asked to, and says so each time", async () => {
    const first = await startBareServer({});
    first.stop();
    const transport = createGrpcTransport({ address: first.address, use: "background" });
    closers.push(() => transport.close());
    let ready = 0;
    transport.onReady(() => ready++);
    transport.connect();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ready).toBe(0);
    const second = await serve({}, first.port);
    await eventually(() => expect(ready).toBe(1), 5_000);
    second.stop();
    await eventually(() => {
      transport.connect(); // a connection that is lost does not come back by itself
      expect(ready).toBe(1);
    });
    await serve({}, first.port);
    await eventually(() => {
      transport.connect();
      expect(ready).toBe(2);
    }, 5_000);
  });

  it("that came up while a call failed for want of it says so once more when it is asked to come up", async () => {
    const first = await startBareServer({});
    first.stop();
    const transport = createGrpcTransport({ address: first.address, use: "background" });
    closers.push(() => transport.close());
    const client = createClient(RegistryService, transport);
    let ready = 0;
    transport.onReady(() => ready++);
    expect((await errorOf(client.getService({ id: "x" }))).rawMessage).toMatch(/^no connection/);
    // Its caller may not have heard of the failure yet.
    await serve(
      { unary: (_call, callback) => callback({ code: 14, details: "busy" }) },
      first.port,
    );
    await eventually(() => expect(ready).toBe(1), 5_000);
    transport.connect();
    expect(ready).toBe(2);
    // A call that found a connection and failed is no reason: backoff would be for nothing.
    expect((await errorOf(client.getService({ id: "x" }))).rawMessage).toBe("busy");
    transport.connect();
    expect(ready).toBe(2);
  });

  it("is a new one after a close, even if the old one may be half-open", async () => {
    const { address, sockets } = await silentServer();
    for (const expected of [1, 2]) {
      const transport = createGrpcTransport({ address });
      const client = createClient(RegistryService, transport);
      await errorOf(client.getService({ id: "x" }, { timeoutMs: 100 }));
      transport.close();
      expect(sockets.size).toBe(expected);
    }
  });

  it("does not come up after a close, when there is a server again", async () => {
    const { address, stop } = await startBareServer({});
    stop();
    const transport = createGrpcTransport({ address });
    const client = createClient(RegistryService, transport);
    const { code } = await errorOf(client.getService({ id: "x" }));
    expect(code).toBe(Code.Unavailable);
    transport.close();
    const { sockets } = await silentServer(Number(new URL(address).port));
    // The pause after a first failure is shorter.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(sockets.size).toBe(0);
  });

  it("that never came up to its end is gone after a close", async () => {
    const { address, sockets } = await silentServer();
    const transport = createGrpcTransport({ address });
    const client = createClient(RegistryService, transport);
    await errorOf(client.getService({ id: "x" }, { timeoutMs: 100 }));
    expect(sockets.size).toBe(1);
    transport.close();
    await eventually(() => expect([...sockets].map(({ closed }) => closed)).toEqual([true]), 1_000);
  });

  it("below a background stream does not keep the process alive, below a call it does", async () => {
    const { address } = await serve({
      stream: echo,
      unary: (_call, callback) => void setTimeout(() => callback(null, serviceOf("late")), 1_000),
    });
    const script = join(import.meta.dirname, "..", "support", "exits-by-itself.ts");
    const run = (use: string) =>
      promisify(execFile)(process.execPath, ["--import", "tsx", script, address, use]);
    expect((await run("background")).stdout).toBe("open\n");
    expect((await run("calls")).stdout).toBe("late\n");
  });
});
