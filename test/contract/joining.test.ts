import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

const INVALID = { code: "Unauthenticated", reason: "TOKEN_INVALID" };
const MISMATCH = { code: "PermissionDenied", reason: "INSTANCE_MISMATCH" };

describeContract(({ protocol, start }) => {
  /** What HTTP/1.1 cannot carry, or what is the same by every protocol. */
  const onGrpc = protocol === "gRPC" ? it : () => {};
  let pulse: PulseUnderTest;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start();
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  let names = 0;
  const joinToken = async (maxUses: number, expiresAt?: number) =>
    admin.tokens.createToken({
      name: `join ${++names}`,
      scopes: [Scope.JOIN],
      maxUses,
      ...(expiresAt === undefined ? {} : { expireTime: timestampFromMs(expiresAt) }),
    });
  const instance = (name: string) => ({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
  });
  const as = (token: string) => pulse.clients(protocol, token).registry;
  const tokenNamed = async (name: string) =>
    (await admin.tokens.listTokens({})).tokens.filter((token) => token.name === name);
  const usesOf = async (id: string) =>
    (await admin.tokens.listTokens({})).tokens.find((token) => token.id === id)?.uses;

  describe("a join token", () => {
    it("registers an instance, which gets a token of its own, and is counted", async () => {
      const { token, id, name } = await joinToken(3);
      const { instanceToken } = await as(token).register(instance("first"));
      expect(instanceToken).toMatch(/^pulse_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
      expect(await usesOf(id)).toBe(1);
      const [own, none] = await tokenNamed(`first (joined with ${name})`);
      expect(own).toMatchObject({ instanceId: "instance-of-first", scopes: [Scope.REGISTER] });
      expect(none).toBeUndefined();
      const again = await as(instanceToken).register(instance("first"));
      expect([again.instanceToken, again.generation]).toEqual(["", 2n]);
    });

    it("gives the same instance another secret, counts nothing, and the one of before ends", async () => {
      const { token, id } = await joinToken(1);
      const lost = await as(token).register(instance("again"));
      const { instanceToken } = await as(token).register(instance("again"));
      expect(instanceToken).not.toBe(lost.instanceToken);
      expect(await failure(as(lost.instanceToken).register(instance("again")))).toMatchObject(
        INVALID,
      );
      await as(instanceToken).register(instance("again"));
      expect(await usesOf(id)).toBe(1);
    });

    it("that is spent is denied to others", async () => {
      const { token } = await joinToken(1);
      await as(token).register(instance("in-time"));
      expect(await failure(as(token).register(instance("late")))).toMatchObject({
        code: "PermissionDenied",
        reason: "JOIN_TOKEN_SPENT",
      });
    });

    it("lets in as many as it is for, however many come at once", async () => {
      const { token, id } = await joinToken(2);
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => as(token).register(instance(`racer-${i % 4}`))),
      );
      const joined = new Set(
        outcomes.flatMap((outcome) =>
          outcome.status === "fulfilled" ? [outcome.value.service?.instanceId] : [],
        ),
      );
      expect(joined.size).toBe(2);
      expect(await usesOf(id)).toBe(2);
    });

    it("that was revoked lets nobody in again, and those who have joined go on", async () => {
      const { token, id } = await joinToken(9);
      const { instanceToken } = await as(token).register(instance("stays"));
      await admin.tokens.revokeToken({ id });
      expect(await failure(as(token).register(instance("stays")))).toMatchObject(INVALID);
      await as(instanceToken).register(instance("stays"));
    });

    it("that has expired says so, and lets nobody in again", async () => {
      const { token } = await joinToken(0, Date.now() + 700);
      await as(token).register(instance("early"));
      await new Promise((resolve) => setTimeout(resolve, 800));
      for (const name of ["early", "too-late"])
        expect(await failure(as(token).register(instance(name)))).toMatchObject({
          code: "Unauthenticated",
          reason: "TOKEN_EXPIRED",
        });
    });

    it("needs an instance id", async () => {
      const { token } = await joinToken(1);
      const anonymous = { ...instance("nameless"), instanceId: "", instanceSecret: "" };
      expect(await failure(as(token).register(anonymous))).toMatchObject({
        code: "InvalidArgument",
        fields: ["instance_id"],
      });
    });
  });

  describe("an instance's own token", () => {
    let own: string;
    beforeAll(async () => {
      const { token } = await joinToken(1);
      own = (await as(token).register(instance("own"))).instanceToken;
    });

    it("registers and deregisters no other instance, nor one without an id", async () => {
      await admin.registry.register(instance("other"));
      const { instanceId, instanceSecret } = instance("other");
      expect(await failure(as(own).register(instance("other")))).toMatchObject(MISMATCH);
      expect(
        await failure(as(own).register({ ...instance("x"), instanceId: "", instanceSecret: "" })),
      ).toMatchObject(MISMATCH);
      expect(await failure(as(own).deregister({ instanceId, instanceSecret }))).toMatchObject(
        MISMATCH,
      );
      const { services } = await admin.registry.listServices({});
      expect(services.some((service) => service.instanceId === instanceId)).toBe(true);
    });

    onGrpc("keeps no other instance alive", async () => {
      const { lease } = await admin.registry.register(instance("foreign"));
      const { lease: mine } = await as(own).register(instance("own"));
      const stream = new HeartbeatClient(as(own));
      expect(await stream.beat({ leaseId: lease?.id ?? "", sequence: 1n })).toMatchObject({
        case: "leaseLost",
        value: { reason: 1 },
      });
      expect(await stream.beat({ leaseId: mine?.id ?? "", sequence: 1n })).toMatchObject({
        case: "renewed",
      });
      stream.break();
    });

    it("ends with the registration", async () => {
      const { token } = await joinToken(1);
      const { instanceToken } = await as(token).register(instance("leaves"));
      const { instanceId, instanceSecret } = instance("leaves");
      await as(instanceToken).deregister({ instanceId, instanceSecret });
      expect(await failure(as(instanceToken).register(instance("leaves")))).toMatchObject(INVALID);
      expect((await as(token).register(instance("leaves"))).instanceToken).not.toBe("");
    });
  });

  it.each([
    ["without a bound", { scopes: [Scope.JOIN] }, "max_uses"],
    ["for too many", { scopes: [Scope.JOIN], maxUses: 100_001 }, "max_uses"],
    ["beside another scope", { scopes: [Scope.JOIN, Scope.OBSERVE], maxUses: 1 }, "scopes"],
    ["as a bound of another scope", { scopes: [Scope.OBSERVE], maxUses: 1 }, "max_uses"],
    [
      "with an end in the past",
      { scopes: [Scope.OBSERVE], expireTime: timestampFromMs(1) },
      "expire_time",
    ],
  ])("a token %s is refused", async (_, request, field) => {
    expect(await failure(admin.tokens.createToken({ name: "wrong", ...request }))).toMatchObject({
      code: "InvalidArgument",
      fields: [field],
    });
  });
});
