import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createAuthorization, type TokenSource } from "../../src/client/authorization.js";

function setUp(source: TokenSource) {
  const seen: (string | null)[] = [];
  const transport = createRouterTransport(
    ({ service }) => {
      service(RegistryService, {
        listServices: (_, { requestHeader }) => {
          seen.push(requestHeader.get("authorization"));
          return {};
        },
      });
    },
    { transport: { interceptors: [createAuthorization(source)] } },
  );
  return { seen, registry: createClient(RegistryService, transport) };
}

it("sends the token as a bearer token", async () => {
  const { seen, registry } = setUp("t0ken");
  await registry.listServices({});
  expect(seen).toEqual(["Bearer t0ken"]);
});

it("asks a token function before each call, so that a mended token is found", async () => {
  const tokens = ["old", "new\n"];
  const { seen, registry } = setUp(async () => tokens.shift() ?? "");
  await registry.listServices({});
  await registry.listServices({});
  expect(seen).toEqual(["Bearer old", "Bearer new"]);
});

it.each<[string, () => string]>([
  ["is empty", () => ""],
  ["would not fit into a header", () => "t0ken\r\nx: y"],
  [
    "cannot be read",
    () => {
      throw new Error("ENOENT: no such file, open 'service.token'");
    },
  ],
])(
  "a token that %s is UNAVAILABLE, worth a retry, and is not repeated in the error",
  async (_, source) => {
    const { seen, registry } = setUp(source);
    const error: ConnectError = await registry.listServices({}).then(
      () => expect.unreachable(),
      (reason) => ConnectError.from(reason),
    );
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).toMatch(/token function (failed: ENOENT|gave no usable token)/);
    expect(error.message).not.toContain("t0ken");
    expect(seen).toEqual([]);
  },
);
