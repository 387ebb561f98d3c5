import { toJsonString } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  AuditAction,
  type AuditEntry,
  ListAuditEntriesResponseSchema,
} from "../../gen/pulse/v1/audit_service_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { eventually } from "../support/eventually.js";
import { type Clients, HAUL, LONG_TTL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

/** Every secret that a call of these tests carries; tokens are added as they are made. */
const secrets = new Set([
  HAUL.serviceApiKey,
  HAUL.instanceSecret,
  "planted-password",
  "planted-key",
]);

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let ops: Clients;
  let opsId: string;
  beforeAll(async () => {
    pulse = await start();
    const file = await pulse.fileToken("admin");
    secrets.add(file).add(await pulse.fileToken("service"));
    const { tokens } = pulse.clients(protocol, file);
    const made = await tokens.createToken({ name: "ops", scopes: [Scope.ADMIN] });
    secrets.add(made.token);
    opsId = made.id;
    ops = pulse.clients(protocol, made.token);
  });
  afterAll(() => pulse.stop());

  let lastId = 0n;
  let number = 0;
  beforeEach(async () => {
    await settled();
    lastId = (await ops.audit.listAuditEntries({ newest: true, pageSize: 1 })).lastId;
    number++;
  });
  const name = (text: string) => `${text}-${number}`;
  const haul = (change: object = {}) => ({
    ...HAUL,
    service: { ...HAUL.service, name: name("haul") },
    instanceId: name("instance"),
    requestedTtl: LONG_TTL,
    ...change,
  });

  /** A client of a new token, with the token's id. */
  async function holder(tokenName: string, ...scopes: Scope[]) {
    const { token, id } = await ops.tokens.createToken({ name: tokenName, scopes });
    secrets.add(token);
    lastId = (await ops.audit.listAuditEntries({ newest: true, pageSize: 1 })).lastId;
    return { id, token, ...pulse.clients(protocol, token) };
  }

  /** Resolves when what earlier tests have done is written. */
  async function settled(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1_100));
  }

  const news = async (...actions: AuditAction[]) =>
    (await ops.audit.listAuditEntries({ afterId: lastId, actions })).entries;

  /** What is new of these actions once all of it can be there. */
  async function gathered(count: number, ...actions: AuditAction[]): Promise<AuditEntry[]> {
    const entries = await eventually(async () => {
      const found = await news(...actions);
      expect(found.length).toBeGreaterThanOrEqual(count);
      return found;
    });
    expect(entries).toHaveLength(count);
    return entries;
  }

  /** What an operator's call is to the log, at once. */
  async function toldOf(call: () => Promise<unknown>): Promise<string[]> {
    const before = Date.now();
    await call();
    const entries = (await news()).filter(({ action }) => action !== AuditAction.CREDENTIALS_READ);
    lastId = (await ops.audit.listAuditEntries({ newest: true, pageSize: 1 })).lastId;
    for (const entry of entries) {
      expect(entry).toMatchObject({
        tokenId: opsId,
        tokenName: "ops",
        address: "127.0.0.1",
        count: 1,
      });
      const at = entry.time ? timestampMs(entry.time) : 0;
      expect(at).toBeGreaterThanOrEqual(before - 1);
      expect(at).toBeLessThanOrEqual(Date.now() + 1);
    }
    return entries.map(
      ({ action, subject, subjectName, detail }) =>
        `${AuditAction[action]} ${subject} ${subjectName} (${detail})`,
    );
  }

  it("whatever changes the registry is in the log once, with who did it, when it is answered", async () => {
    const client = new FakeQBittorrent();
    const url = await serve(client.listener);
    const port = Number(new URL(url).port);
    const { registry, downloadClients, tokens } = ops;
    expect(await toldOf(() => registry.register(haul()))).toEqual([
      `REGISTERED service ${name("haul")} (download-client, qbittorrent)`,
    ]);
    const changed = haul({ serviceApiKey: "planted-key" });
    expect(await toldOf(() => registry.register(changed))).toEqual([
      `RE_REGISTERED service ${name("haul")} (changed service_api_key)`,
    ]);
    const auto = (await downloadClients.listDownloadClients({})).downloadClients.find(
      (entry) => entry.name === name("haul"),
    );
    const autoId = auto?.id ?? "";
    expect(await toldOf(() => downloadClients.deleteDownloadClient({ id: autoId }))).toEqual([
      `ENTRY_DELETED download-client ${name("haul")} ()`,
    ]);
    expect(await toldOf(() => downloadClients.restoreDownloadClient({ id: autoId }))).toEqual([
      `ENTRY_RESTORED download-client ${name("haul")} ()`,
    ]);
    const { instanceId, instanceSecret } = haul();
    const remove = () => registry.deregister({ instanceId, instanceSecret });
    expect(await toldOf(remove)).toEqual([`DEREGISTERED service ${name("haul")} ()`]);
    expect(await toldOf(remove)).toEqual([]);

    let id = "";
    const target = { name: name("nas"), kind: "qbittorrent", host: "127.0.0.1", port };
    const login = { username: "admin", password: client.password };
    const create = async () => {
      const reply = await downloadClients.createDownloadClient({
        downloadClient: { ...target, ...login },
      });
      id = reply.downloadClient?.id ?? "";
    };
    expect(await toldOf(create)).toEqual([`ENTRY_CREATED download-client ${name("nas")} ()`]);
    const edit = () =>
      downloadClients.updateDownloadClient({
        downloadClient: { id, priority: 7, password: "planted-password" },
        updateMask: { paths: ["priority", "password"] },
      });
    expect(await toldOf(edit)).toEqual([
      `ENTRY_EDITED download-client ${name("nas")} (priority, password)`,
    ]);
    expect(await toldOf(() => downloadClients.testDownloadClient({ id }))).toEqual([
      `ENTRY_TESTED download-client ${name("nas")} (rejected)`,
    ]);
    await downloadClients.testDownloadClient({ id }); // nothing new: it is told a little later
    const [again] = await gathered(1, AuditAction.ENTRY_TESTED);
    expect(again).toMatchObject({ subjectId: id, detail: "rejected", tokenName: "ops" });
    lastId = again?.id ?? lastId;
    expect(await toldOf(() => downloadClients.deleteDownloadClient({ id }))).toEqual([
      `ENTRY_DELETED download-client ${name("nas")} ()`,
    ]);

    let tokenId = "";
    const make = async () => {
      const made = await tokens.createToken({ name: name("tv"), scopes: [Scope.OBSERVE] });
      secrets.add(made.token);
      tokenId = made.id;
    };
    expect(await toldOf(make)).toEqual([`TOKEN_CREATED token ${name("tv")} (scopes observe)`]);
    expect(await toldOf(() => tokens.revokeToken({ id: tokenId }))).toEqual([
      `TOKEN_REVOKED token ${name("tv")} ()`,
    ]);
  });

  it("an instance that joins, one that is approved, and a rotated key are in the log", async () => {
    const request = { name: name("joiners"), scopes: [Scope.JOIN], maxUses: 1 };
    const { token, id } = await ops.tokens.createToken(request);
    secrets.add(token);
    const joiner = pulse.clients(protocol, token);
    const { service, instanceToken } = await joiner.registry.register(haul());
    secrets.add(instanceToken);
    const [joined] = await gathered(1, AuditAction.JOINED);
    expect(joined).toMatchObject({ tokenId: id, subject: "service", tokenName: name("joiners") });
    expect(joined?.subjectName).toContain(name("haul"));

    const approving = await start({ requireApproval: true });
    try {
      const admin = approving.clients(protocol, await approving.fileToken("admin"));
      const pending = await admin.registry.register(haul());
      const pendingId = pending.service?.id ?? "";
      await admin.registry.approveService({ id: pendingId });
      const actions = [AuditAction.APPROVED];
      const { entries } = await admin.audit.listAuditEntries({ actions });
      expect(entries).toMatchObject([
        { subject: "service", subjectId: pendingId, subjectName: name("haul"), tokenName: "admin" },
      ]);
    } finally {
      await approving.stop();
    }

    // Where several nodes share the database, the operator has to give the new key first.
    const rotation = await ops.secrets.rotateSecrets({}).catch(() => undefined);
    const rotated = await gathered(rotation ? 1 : 0, AuditAction.SECRETS_ROTATED);
    if (rotation)
      expect(rotated).toMatchObject([
        { subject: "secrets", subjectId: rotation.keyId, tokenName: "ops", tokenId: opsId },
      ]);
    expect(service?.id).not.toBe("");
  });

  describe("credentials that are read", () => {
    it("by lists are in the log within a second or so, and lists without any are not", async () => {
      const { registry } = ops;
      await registry.register(haul());
      const manager = await holder("manager", Scope.DISCOVER);
      const observer = await holder("observer", Scope.OBSERVE);
      for (let i = 0; i < 3; i++) {
        await manager.downloadClients.listDownloadClients({ kinds: ["qbittorrent"] });
        await observer.downloadClients.listDownloadClients({});
      }
      await manager.downloadClients.listDownloadClients({ kinds: ["nzbget"] });
      const entries = await eventually(async () => {
        const found = await news(AuditAction.CREDENTIALS_READ);
        expect(found.reduce((sum, { count }) => sum + count, 0)).toBe(3);
        return found;
      });
      for (const entry of entries) {
        expect(entry).toMatchObject({
          tokenId: manager.id,
          tokenName: "manager",
          address: "127.0.0.1",
          subject: "download-client",
        });
        expect(entry.detail).toContain(JSON.stringify(name("haul")));
      }
    });

    it("by a watch are in the log with its snapshot and with each change that carries some", async () => {
      const { registry, downloadClients } = ops;
      const manager = await holder("watcher", Scope.DISCOVER);
      const reads = async () => {
        const found = await news(AuditAction.CREDENTIALS_READ);
        return found.filter(({ tokenId }) => tokenId === manager.id).map(({ detail }) => detail);
      };
      await registry.register(haul());
      const abort = new AbortController();
      const responses = manager.downloadClients
        .watchDownloadClients({ kinds: ["qbittorrent"] }, { signal: abort.signal })
        [Symbol.asyncIterator]();
      const first = await responses.next();
      expect(first.value?.event.case).toBe("snapshot");
      const snapshot = await eventually(async () => {
        const [detail = ""] = await reads();
        expect(detail).toContain(JSON.stringify(name("haul")));
        return detail;
      });
      expect(snapshot).toMatch(/^\d+ entr(y|ies): /);

      await registry.register(haul({ serviceApiKey: "planted-key" }));
      const change = await nextChange(responses);
      expect(change?.downloadClient?.password).toBe("planted-key");
      await eventually(async () =>
        expect(await reads()).toEqual([snapshot, `1 entry: ${JSON.stringify(name("haul"))}`]),
      );
      const id = change?.downloadClient?.id ?? "";
      await downloadClients.deleteDownloadClient({ id });
      expect((await nextChange(responses))?.downloadClient?.password).toBe("");
      await settled();
      expect(await reads()).toHaveLength(2);
      abort.abort();
    });

    it("by the reply to an operator's command are in the log, with the entry", async () => {
      const made = await ops.downloadClients.createDownloadClient({
        downloadClient: {
          name: name("nas"),
          kind: "sabnzbd",
          host: "nas",
          port: 1,
          password: "planted-key",
        },
      });
      const [entry] = await gathered(1, AuditAction.CREDENTIALS_READ);
      expect(entry).toMatchObject({
        tokenName: "ops",
        subjectId: made.downloadClient?.id,
        subjectName: name("nas"),
      });
    });
  });

  it("calls that are refused are in the log, with the token only if that is valid", async () => {
    await ops.registry.register(haul());
    const weak = await holder("weak", Scope.REGISTER);
    const strangers = ["x", `pulse_${"0".repeat(16)}_${"A".repeat(43)}`];
    for (const token of [undefined, ...strangers])
      await failure(pulse.clients(protocol, token).tokens.listTokens({}));
    await failure(weak.tokens.listTokens({}));
    const entries = await eventually(async () => {
      const found = await news(AuditAction.REFUSED);
      expect(found.reduce((sum, { count }) => sum + count, 0)).toBe(4);
      return found;
    });
    const [valid, none] = [true, false].map((has) =>
      entries.filter(({ tokenId }) => (tokenId !== "") === has),
    );
    expect(valid).toHaveLength(1);
    expect(valid?.[0]).toMatchObject({
      tokenId: weak.id,
      tokenName: "weak",
      address: "127.0.0.1",
      detail: "ListTokens: SCOPE_MISSING",
    });
    for (const entry of none ?? [])
      expect(entry).toMatchObject({ tokenName: "", address: "127.0.0.1", subject: "" });

    lastId = entries.at(-1)?.id ?? lastId;
    const thief = haul({ instanceSecret: "another secret of 16" });
    secrets.add(thief.instanceSecret);
    expect(await failure(weak.registry.register(thief))).toMatchObject({
      reason: "SECRET_MISMATCH",
    });
    const [refused] = await gathered(1, AuditAction.REFUSED);
    expect(refused).toMatchObject({ tokenName: "weak", detail: "Register: SECRET_MISMATCH" });
  });

  it("the log is read in parts, oldest first, and says where to go on", async () => {
    for (let i = 0; i < 5; i++) await ops.registry.register(haul());
    const ids = (await news()).map(({ id }) => id);
    expect(ids).toHaveLength(5);
    const part = await ops.audit.listAuditEntries({ afterId: lastId, pageSize: 2 });
    expect(part.entries.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(part.lastId).toBe(ids[1]);
    const newest = await ops.audit.listAuditEntries({ newest: true, pageSize: 2 });
    expect(newest.entries.map(({ id }) => id)).toEqual(ids.slice(3));
    expect(newest.lastId).toBe(ids[4]);
    const none = { afterId: lastId, actions: [AuditAction.JOINED] };
    expect(await ops.audit.listAuditEntries(none)).toMatchObject({ entries: [], lastId: ids[4] });
  });

  it("a bad request names its field", async () => {
    const { JOINED, UNSPECIFIED } = AuditAction;
    const bad = [
      ["after_id", { afterId: 1n, newest: true }],
      ["page_size", { pageSize: 1_001 }],
      ["actions[1]", { actions: [JOINED, UNSPECIFIED] }],
      ["actions[0]", { actions: [99 as AuditAction] }],
      ["actions", { actions: Array<AuditAction>(65).fill(JOINED) }],
    ] as const;
    for (const [field, request] of bad) {
      const { actions, ...rest } = { actions: [], ...request };
      const call = ops.audit.listAuditEntries({ ...rest, actions: [...actions] });
      expect(await failure(call)).toMatchObject({ code: "InvalidArgument", fields: [field] });
    }
  });

  it("what was read last is written before Pulse stops, and no entry holds a secret", async () => {
    const manager = await holder("last", Scope.DISCOVER);
    await ops.registry.register(haul());
    await manager.downloadClients.listDownloadClients({});
    await pulse.restart();
    const entries = await eventually(() => news(AuditAction.CREDENTIALS_READ));
    expect(entries.map(({ tokenName }) => tokenName)).toContain("last");

    const texts: string[] = [];
    for (let afterId = 0n, isDone = false; !isDone; ) {
      const page = await ops.audit.listAuditEntries({ afterId });
      texts.push(toJsonString(ListAuditEntriesResponseSchema, page));
      isDone = page.entries.length === 0;
      afterId = page.lastId;
    }
    const all = texts.join();
    expect(all).toContain("TOKEN_CREATED"); // there is something
    expect(secrets.size).toBeGreaterThan(8);
    for (const secret of secrets) expect(all).not.toContain(secret);
  });
});

async function nextChange(responses: AsyncIterator<WatchDownloadClientsResponse, undefined>) {
  for (;;) {
    const { value, done } = await responses.next();
    if (done) throw new Error("the watch has ended");
    if (value.event.case === "change") return value.event.value;
  }
}
