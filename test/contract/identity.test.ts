import { join } from "node:path";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { type Clients, HAUL, LONG_TTL, Scope, TestPulse } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

// Who may go on with an identity, and what goes along with it.
describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let clients: Clients;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start();
    clients = pulse.clients(protocol, await pulse.fileToken("service"));
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  const pinned = (name: string, change: object = {}) => ({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
    ...change,
  });
  /** A Register by type and name alone. */
  const unpinned = (name: string, apiUrl: string, change: object = {}) => ({
    service: { ...HAUL.service, name, apiUrl },
    requestedTtl: LONG_TTL,
    ...change,
  });
  const KEY = { serviceUsername: "me", serviceApiKey: "stored key" };

  async function entryOf(name: string) {
    const { downloadClients } = await clients.downloadClients.listDownloadClients({});
    return downloadClients.find((entry) => entry.name === name);
  }

  /** All that callers can read, and all that is stored. */
  async function everything() {
    const { services, revision } = await admin.registry.listServices({});
    const { downloadClients } = await admin.downloadClients.listDownloadClients({
      showDeleted: true,
    });
    // When a token was used last is told too, and this very call uses one.
    const tokens = (await admin.tokens.listTokens({})).tokens.map(
      ({ lastUsedTime: _, ...token }) => token,
    );
    const stored = pulse instanceof TestPulse ? storedIn(pulse.dataDirectory) : [];
    return { services, revision, downloadClients, tokens, stored };
  }

  it("no wrong secret changes anything of a pinned instance, whatever it is sent with", async () => {
    await clients.registry.register(pinned("kept"));
    const { instanceId } = pinned("kept");
    const before = await everything();
    const right = HAUL.instanceSecret;
    const wrong = ["", `${right}x`, right.slice(0, -1), right.toUpperCase(), "x".repeat(512)];
    for (const instanceSecret of wrong) {
      const moved = { ...HAUL.service, name: "kept", apiUrl: "http://evil:1" };
      for (const change of [
        {},
        { service: moved },
        { service: moved, serviceApiKey: "stolen" },
        { serviceApiKey: "", serviceUsername: "" },
        { service: { name: "kept", type: "example" } },
      ])
        expect(
          await failure(clients.registry.register(pinned("kept", { ...change, instanceSecret }))),
        ).toMatchObject({ code: "PermissionDenied", reason: "SECRET_MISMATCH" });
      expect(
        await failure(clients.registry.deregister({ instanceId, instanceSecret })),
      ).toMatchObject({ code: "PermissionDenied", reason: "SECRET_MISMATCH" });
    }
    expect(await everything()).toEqual(before);
  });

  it("a stored key is not sent to an address that somebody else has registered", async () => {
    await clients.registry.register(unpinned("poor", "http://nas:8080", KEY));
    const { registry } = pulse.clients(protocol, await pulse.token(Scope.REGISTER));
    await registry.register(unpinned("poor", "http://evil:8080"));
    expect(await entryOf("poor")).toMatchObject({
      host: "evil",
      username: "",
      password: "",
      credentialState: CredentialState.UNVERIFIED,
    });
  });

  it("a stored key stays while scheme, host and port do, and comes anew with the next ones", async () => {
    await clients.registry.register(unpinned("rich", "http://nas:8080", KEY));
    await clients.registry.register(unpinned("rich", "http://nas:8080/qbt"));
    expect(await entryOf("rich")).toMatchObject({ username: "me", password: "stored key" });
    const { VERIFIED, UNVERIFIED } = CredentialState;
    const moved = { serviceApiKey: "new key", credentialState: VERIFIED };
    await clients.registry.register(unpinned("rich", "https://nas:8080", moved));
    expect(await entryOf("rich")).toMatchObject({
      username: "",
      password: "new key",
      credentialState: VERIFIED,
    });
    const claimed = { credentialState: VERIFIED };
    await clients.registry.register(unpinned("rich", "https://nas:8081", claimed));
    expect(await entryOf("rich")).toMatchObject({ password: "", credentialState: UNVERIFIED });
  });

  it("a pinned instance moves with all that it has", async () => {
    await clients.registry.register(pinned("free"));
    const { serviceApiKey: _, serviceUsername: __, ...moved } = pinned("free");
    const service = { ...HAUL.service, name: "free", apiUrl: "https://elsewhere:1" };
    await clients.registry.register({ ...moved, service });
    expect(await entryOf("free")).toMatchObject({
      host: "elsewhere",
      username: HAUL.serviceUsername,
      password: HAUL.serviceApiKey,
    });
  });

  it("a password of an operator keeps an identity without a secret where it is", async () => {
    const { downloadClient } = await clients.registry.register(unpinned("op", "http://nas:8080"));
    const id = downloadClient?.id ?? "";
    const set = (password?: string) =>
      admin.downloadClients.updateDownloadClient({
        downloadClient: { id, overrides: password === undefined ? {} : { password } },
        updateMask: { paths: ["overrides.password"] },
      });
    await set("operator's");
    const before = await everything();
    const moving = () => clients.registry.register(unpinned("op", "http://evil:8080"));
    const refused = await failure(moving());
    expect(refused).toMatchObject({ code: "PermissionDenied", reason: "PASSWORD_OF_OPERATOR" });
    expect(refused.message).toContain(`pulse clients edit ${id} --clear password`);
    expect(await everything()).toEqual(before);
    await set();
    await moving();
    expect(await entryOf("op")).toMatchObject({ host: "evil", password: "" });
  });

  it("an instance id that everybody can read is not given a secret by anybody", async () => {
    const owner = await clients.registry.register(unpinned("open", "http://nas:8080", KEY));
    const instanceId = owner.service?.instanceId ?? "";
    const take = (leaseId: string) =>
      clients.registry.register({
        ...unpinned("open", "http://nas:8080"),
        instanceId,
        instanceSecret: "the secret of whoever takes it",
        leaseId,
      });
    const before = await everything();
    for (const leaseId of ["", "guessed", `${owner.lease?.id}x`])
      expect(await failure(take(leaseId))).toMatchObject({
        code: "PermissionDenied",
        reason: "IDENTITY_UNPROVEN",
      });
    expect(await everything()).toEqual(before);
    const pinnedNow = await take(owner.lease?.id ?? "");
    expect(pinnedNow.service?.id).toBe(owner.service?.id);
    expect(await entryOf("open")).toMatchObject({ username: "", password: "" }); // to be sent anew
  });
});

/** Every row of the registry, but what is written of calls that change nothing. */
function storedIn(directory: string) {
  const db = new Database(join(directory, "pulse.db"), { readonly: true });
  try {
    return ["services", "download_clients", "tokens", "change_log", "clock"].map((table) =>
      (db.prepare(`select * from ${table} order by 1`).all() as Record<string, unknown>[]).map(
        ({ audit_id: _, last_used_at: _lastUsedAt, ...row }) => row,
      ),
    );
  } finally {
    db.close();
  }
}

describe("the bound of registrations with one token", () => {
  it("is told with when to come back, is each token's own, and lets those go on who are there", async () => {
    const pulse = await TestPulse.start({ maxServicesPerToken: 2 });
    onTestFinished(() => pulse.stop());
    const [one, other] = [await pulse.token(Scope.REGISTER), await pulse.token(Scope.REGISTER)];
    const register = (token: string, n: number) =>
      pulse.clients("gRPC", token).registry.register({
        ...HAUL,
        instanceId: `instance-${n}`,
        requestedTtl: LONG_TTL,
      });
    await register(one, 1);
    await register(one, 2);
    const full = await failure(register(one, 3));
    expect(full).toMatchObject({
      code: "ResourceExhausted",
      reason: "TOO_MANY_SERVICES_OF_TOKEN",
      retryAfterMs: 60_000,
    });
    await register(one, 1);
    await register(other, 3);
    await pulse.restart();
    expect((await failure(register(one, 4))).reason).toBe("TOO_MANY_SERVICES_OF_TOKEN");
    const { registry } = pulse.clients("gRPC", one);
    await registry.deregister({ ...HAUL, instanceId: "instance-1" });
    await register(one, 4);
  });
});
