import {
  Code,
  ConnectError,
  createRouterTransport,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createAuthorization } from "../../src/client/authorization.js";
import {
  type ConnectOptions,
  connectBare,
  connectPulse,
  connectWithoutRetry,
} from "../../src/client/connection.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import type { GrpcTransportOptions } from "../../src/wire/grpc-transport.js";
import { ManualClock } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";

/** A Pulse that is away for the first calls. */
let away: number;
let tokens: (string | null)[];
let opened: GrpcTransportOptions[];
let closed: number;
let clock: ManualClock;
beforeEach(() => {
  away = 0;
  tokens = [];
  opened = [];
  closed = 0;
  clock = new ManualClock();
});

vi.mock("../../src/wire/grpc-transport.js", () => ({
  createGrpcTransport(options: GrpcTransportOptions) {
    opened.push(options);
    const answer = ({ requestHeader }: HandlerContext) => {
      tokens.push(requestHeader.get("authorization"));
      if (tokens.length <= away) throw new ConnectError("away", Code.Unavailable);
    };
    const transportWith = (interceptors: Interceptor[]) =>
      createRouterTransport(
        ({ service }) => {
          service(RegistryService, {
            listServices(_, context) {
              answer(context);
              return { revision: 7n };
            },
            register(_, context) {
              answer(context);
              return {};
            },
          });
        },
        { transport: { interceptors } },
      );
    const transport = transportWith(options.interceptors ?? []);
    return { ...transport, with: transportWith, close: () => closed++ };
  },
}));

const connect = (options: Partial<ConnectOptions> = {}) =>
  connectPulse({
    pulse: "pulse",
    insecure: true,
    token: "t0ken",
    clock,
    random: seededRandom(),
    ...options,
  });

/** The code that a call fails with, or `passed`, once time has gone on. */
async function outcome(call: Promise<unknown>): Promise<string> {
  const settled = call.then(
    () => "passed",
    (error) => Code[ConnectError.from(error).code],
  );
  await clock.advance(60_000);
  return String(await settled);
}

describe("a connection for calls", () => {
  it("tries an idempotent call again, and asks for the token anew each time", async () => {
    away = 2;
    const given = ["one", "two", "three"];
    const { registry } = connect({ token: () => given.shift() ?? "" });
    expect(await outcome(registry.listServices({}))).toBe("passed");
    expect(tokens).toEqual(["Bearer one", "Bearer two", "Bearer three"]);
    expect(clock.pending).toBe(0);
  });

  it("tries again too when the token cannot be had yet", async () => {
    const given = ["", "mended"];
    const { registry } = connect({ token: () => given.shift() ?? "" });
    expect(await outcome(registry.listServices({}))).toBe("passed");
    expect(tokens).toEqual(["Bearer mended"]);
  });

  it("makes one attempt if retry is `never`, and as many as a policy allows", async () => {
    away = 100;
    expect(await outcome(connect({ retry: "never" }).registry.listServices({}))).toBe(
      "Unavailable",
    );
    expect(tokens).toHaveLength(1);
    const { registry } = connect({ retry: { maxAttempts: 3 } });
    expect(await outcome(registry.listServices({}))).toBe("Unavailable");
    expect(tokens).toHaveLength(1 + 3);
  });

  it("is for the address given, and is closed when it is told to", () => {
    connect({ pulse: "[::1]" }).close();
    expect(opened).toMatchObject([{ address: { addresses: ["http://[::1]:9696"] } }]);
    expect(opened[0]?.use).toBeUndefined(); // somebody awaits these calls
    expect(closed).toBe(1);
  });

  it.each([{ pulse: "ftp://pulse" }, { pulse: "http://me:s3cret@pulse" }, { token: "two words" }])(
    "is refused at once with %j",
    (options) => {
      expect(() => connect(options)).toThrow(TypeError);
      expect(() => connect(options)).not.toThrow(/s3cret|two words/);
      expect(opened).toEqual([]);
    },
  );
});

describe("a connection for a watch", () => {
  it("repeats nothing, and is no reason for the process to stay", async () => {
    away = 1;
    const { registry } = connectWithoutRetry(new Endpoints(["http://pulse:9696"]), "t0ken");
    expect(await outcome(registry.listServices({}))).toBe("Unavailable");
    expect(tokens).toEqual(["Bearer t0ken"]);
    expect(opened).toMatchObject([{ use: "background" }]);
  });
});

describe("a connection that registrations share", () => {
  it("authorizes each call as its registration says, repeats nothing, and holds no process", async () => {
    away = 1;
    const connection = connectBare(new Endpoints(["http://pulse:9696"]));
    const call = (token: string) =>
      connection
        .registryFor(createAuthorization(token))
        .register({}, { signal: new AbortController().signal });
    expect(await outcome(call("one"))).toBe("Unavailable");
    expect(await outcome(call("two"))).toBe("passed");
    expect(tokens).toEqual(["Bearer one", "Bearer two"]);
    expect(opened).toMatchObject([{ use: "background" }]);
    connection.close();
    expect(closed).toBe(1);
  });
});
