import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/health/v1/health_pb.js";
import { createHealth } from "../../src/wire/health.js";
import { startToy } from "./toy.js";

// Over HTTP/1.1, whose client is Connect's own; that gRPC serves the same handlers is tested elsewhere.

async function start() {
  const health = createHealth(["a", "b"]);
  const server = await startToy({}, {}, [health.mount]);
  const transport = createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" });
  const client = createClient(HealthService, transport);
  const watch = (service: string) => {
    const iterator = client.watch({ service })[Symbol.asyncIterator]();
    return async () => {
      const { done, value } = await iterator.next();
      return done ? "end" : Status[value.status];
    };
  };
  const check = async (service: string) => Status[(await client.check({ service })).status];
  return { health, client, watch, check, server };
}

describe("Check", () => {
  it("tells of the server and of each name", async () => {
    const { check, health } = await start();
    health.set("b", "not-serving");
    expect(await Promise.all(["", "a", "b"].map(check))).toEqual([
      "SERVING",
      "SERVING",
      "NOT_SERVING",
    ]);
  });

  it("of an unknown name is NOT_FOUND", async () => {
    const { client } = await start();
    await expect(client.check({ service: "x" })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

it("List tells of all", async () => {
  const { client, health } = await start();
  health.set("a", "not-serving");
  const { statuses } = await client.list({});
  expect(statuses).toMatchObject({
    "": { status: Status.SERVING },
    a: { status: Status.NOT_SERVING },
    b: { status: Status.SERVING },
  });
});

describe("Watch", () => {
  it("tells at once, and each change, and nothing twice", async () => {
    const { watch, health } = await start();
    const next = watch("a");
    expect(await next()).toBe("SERVING");
    health.set("a", "serving");
    health.set("b", "not-serving");
    health.set("a", "not-serving");
    expect(await next()).toBe("NOT_SERVING");
    health.set("a", "serving");
    expect(await next()).toBe("SERVING");
  });

  it("of an unknown name says so and stays open until the name is known", async () => {
    const { watch, health } = await start();
    const next = watch("new");
    expect(await next()).toBe("SERVICE_UNKNOWN");
    health.set("new", "serving");
    expect(await next()).toBe("SERVING");
  });
});

describe("shutdown", () => {
  it("tells watchers NOT_SERVING and ends them, so that they hold up no drain", async () => {
    const { watch, health, server, check } = await start();
    const nexts = ["", "a", "unknown"].map(watch);
    for (const next of nexts) await next();
    health.shutdown();
    expect(await Promise.all(nexts.slice(0, 2).map((next) => next()))).toEqual([
      "NOT_SERVING",
      "NOT_SERVING",
    ]);
    expect(await Promise.all(nexts.map((next) => next()))).toEqual(["end", "end", "end"]);
    expect(await check("a")).toBe("NOT_SERVING");
    const startAt = performance.now();
    await server.stop(5_000);
    expect(performance.now() - startAt).toBeLessThan(1_500);
  });

  it("is final", async () => {
    const { health, check } = await start();
    health.shutdown();
    health.set("a", "serving");
    expect(await check("a")).toBe("NOT_SERVING");
  });
});
