import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Clients, HAUL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

/** Every RPC, and the scopes that let it pass. */
const RPCS: readonly [string, (clients: Clients) => Promise<unknown>, readonly string[]][] = [
  ["Register", ({ registry }) => registry.register(HAUL), ["REGISTER", "ADMIN"]],
  [
    "Heartbeat",
    async ({ registry }) => {
      const beat = (async function* () {
        yield { leaseId: "unknown", sequence: 1n };
      })();
      for await (const _ of registry.heartbeat(beat)) return;
    },
    ["REGISTER", "ADMIN"],
  ],
  [
    "Deregister",
    ({ registry }) => registry.deregister({ instanceId: "none" }),
    ["REGISTER", "ADMIN"],
  ],
  ["ListServices", ({ registry }) => registry.listServices({}), ["OBSERVE", "DISCOVER", "ADMIN"]],
  [
    "GetService",
    ({ registry }) => registry.getService({ id: "none" }),
    ["OBSERVE", "DISCOVER", "ADMIN"],
  ],
  [
    "ListDownloadClients",
    ({ downloadClients }) => downloadClients.listDownloadClients({}),
    ["OBSERVE", "DISCOVER", "ADMIN"],
  ],
  [
    "CreateToken",
    ({ tokens }) => tokens.createToken({ name: "x", scopes: [Scope.OBSERVE] }),
    ["ADMIN"],
  ],
  ["ListTokens", ({ tokens }) => tokens.listTokens({}), ["ADMIN"]],
  ["RevokeToken", ({ tokens }) => tokens.revokeToken({ id: "none" }), ["ADMIN"]],
];

/** Heartbeat is a bidirectional stream, which HTTP/1.1 cannot carry. */
const rpcsOver = (protocol: string) =>
  RPCS.filter(([name]) => protocol === "gRPC" || name !== "Heartbeat");

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  const tokens = new Map<string, string>();
  beforeAll(async () => {
    pulse = await start();
    for (const scope of [Scope.REGISTER, Scope.DISCOVER, Scope.OBSERVE, Scope.ADMIN])
      tokens.set(Scope[scope], await pulse.token(scope));
  });
  afterAll(() => pulse.stop());

  describe.each(rpcsOver(protocol))("%s", (_, call, allowed) => {
    it.each(["REGISTER", "DISCOVER", "OBSERVE", "ADMIN"])("with scope %s", async (scope) => {
      const outcome = await call(pulse.clients(protocol, tokens.get(scope))).then(
        () => "passed",
        (error) => failure(Promise.reject(error)),
      );
      const refused = { code: "PermissionDenied", reason: "SCOPE_MISSING" };
      if (allowed.includes(scope)) expect(outcome).not.toMatchObject(refused);
      else expect(outcome).toMatchObject(refused);
    });

    it("without a token", async () => {
      expect(await failure(call(pulse.clients(protocol, undefined)))).toMatchObject({
        code: "Unauthenticated",
        reason: "TOKEN_MISSING",
      });
    });

    it.each(["", "x", `pulse_${"0".repeat(16)}_${"A".repeat(43)}`])(
      "with token %j",
      async (token) => {
        expect(await failure(call(pulse.clients(protocol, token)))).toMatchObject({
          code: "Unauthenticated",
          reason: "TOKEN_INVALID",
        });
      },
    );
  });

  it("scope observe sees entries without credentials, discover with them", async () => {
    await pulse.clients(protocol, tokens.get("REGISTER")).registry.register(HAUL);
    const seen = async (scope: string) => {
      const { downloadClients } = pulse.clients(protocol, tokens.get(scope));
      const [entry] = (await downloadClients.listDownloadClients({})).downloadClients;
      return [entry?.name, entry?.username, entry?.password];
    };
    expect(await seen("OBSERVE")).toEqual(["haul", "", ""]);
    expect(await seen("DISCOVER")).toEqual(["haul", "admin", "the-api-key-of-haul"]);
  });

  it("a token with a right id and a wrong secret is refused like an unknown one", async () => {
    const [, id] = /^pulse_([0-9a-f]{16})_/.exec(tokens.get("ADMIN") ?? "") ?? [];
    const forged = `pulse_${id}_${"A".repeat(43)}`;
    const [wrong, unknown] = await Promise.all(
      [forged, `pulse_${"0".repeat(16)}_${"A".repeat(43)}`].map((token) =>
        failure(pulse.clients(protocol, token).tokens.listTokens({})),
      ),
    );
    expect(wrong).toEqual(unknown);
  });

  it("a revoked token is refused from the next call on, and stays listed without its secret", async () => {
    const admin = pulse.clients(protocol, tokens.get("ADMIN")).tokens;
    const made = await admin.createToken({
      name: "to revoke",
      scopes: [Scope.OBSERVE, Scope.OBSERVE],
    });
    expect(made.scopes).toEqual([Scope.OBSERVE]);
    const { downloadClients } = pulse.clients(protocol, made.token);
    await downloadClients.listDownloadClients({});
    const { token } = await admin.revokeToken({ id: made.id });
    expect(token?.revokeTime).toBeDefined();
    const refused = async () =>
      expect(await failure(downloadClients.listDownloadClients({}))).toMatchObject({
        code: "Unauthenticated",
        reason: "TOKEN_INVALID",
      });
    await refused();
    const listed = (await admin.listTokens({})).tokens.find(({ id }) => id === made.id);
    expect(listed).toMatchObject({ name: "to revoke", scopes: [Scope.OBSERVE] });
    expect((await admin.revokeToken({ id: made.id })).token).toEqual(token);
  });

  it("a token cannot revoke itself", async () => {
    const admin = pulse.clients(protocol, tokens.get("ADMIN")).tokens;
    const [, id = ""] = /^pulse_([0-9a-f]{16})_/.exec(tokens.get("ADMIN") ?? "") ?? [];
    expect(await failure(admin.revokeToken({ id }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "TOKEN_IN_USE",
    });
  });
});
