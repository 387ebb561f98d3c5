import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  Availability,
  CredentialState,
  type DownloadClient,
  type DownloadClientSchema,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import { TestOutcome } from "../../gen/pulse/v1/download_client_service_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

/** Every path that a mask may name, of an AUTO and of a MANUAL entry. */
const OPERATOR_PATHS = ["name", "enabled", "priority", "category", "directory", "tags", "settings"];
const ACCESS_PATHS = ["host", "port", "use_ssl", "url_base", "username", "password"];

type Change = MessageInitShape<typeof DownloadClientSchema>;

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let { registry, downloadClients, tokens }: Clients = {} as Clients;
  beforeAll(async () => {
    pulse = await start();
    ({ registry, downloadClients, tokens } = pulse.clients(
      protocol,
      await pulse.fileToken("admin"),
    ));
  });
  afterAll(() => pulse.stop());

  /** Names are for ever, so each test has its own. */
  let number = 0;
  beforeEach(() => {
    number++;
  });
  const name = (text: string) => `${text}-${number}`;

  const target = (text: string) => ({
    name: name(text),
    kind: "sabnzbd",
    host: "nas.local",
    port: 8080,
  });
  const haul = (change: object = {}) => ({
    ...HAUL,
    service: { ...HAUL.service, name: name("haul"), ...change },
    instanceId: name("instance"),
    requestedTtl: LONG_TTL,
  });

  async function makeEntry(change: object = {}): Promise<DownloadClient> {
    const reply = await downloadClients.createDownloadClient({
      downloadClient: { ...target("by-hand"), ...change },
    });
    return present(reply.downloadClient);
  }

  async function makeAutoEntry(): Promise<DownloadClient> {
    const { downloadClient } = await registry.register(haul());
    return entryOf(present(downloadClient).id);
  }

  async function list(request: object = {}) {
    return downloadClients.listDownloadClients(request);
  }

  async function entryOf(id: string): Promise<DownloadClient> {
    return present((await list()).downloadClients.find((entry) => entry.id === id));
  }

  async function isListed(id: string, request: object = {}): Promise<boolean> {
    return (await list(request)).downloadClients.some((entry) => entry.id === id);
  }

  async function update(change: Change, ...paths: string[]) {
    return downloadClients.updateDownloadClient({ downloadClient: change, updateMask: { paths } });
  }

  /** The status of a call that must fail, and must leave everything as it was. */
  async function refusal(call: () => Promise<unknown>) {
    const before = await list({ showDeleted: true });
    const status = await failure(call());
    expect(await list({ showDeleted: true })).toEqual(before);
    return status;
  }

  describe("CreateDownloadClient", () => {
    it("makes an entry of all that was sent, and managers see it like any other", async () => {
      const made = {
        ...target("complete"),
        useSsl: true,
        urlBase: "/sab",
        username: "admin",
        password: "a password",
        priority: 3,
        category: "tv",
        directory: "/downloads",
        tags: ["fast", "usenet"],
        settings: { recent: { priority: 1 }, list: [true, null, "x"] },
      };
      const { downloadClient, revision } = await downloadClients.createDownloadClient({
        downloadClient: made,
      });
      const entry = present(downloadClient);
      expect(entry).toMatchObject({
        ...made,
        protocol: Protocol.USENET,
        enabled: true,
        source: Source.MANUAL,
        availability: Availability.ONLINE,
        availabilityReason: "made by hand, not watched",
        credentialState: CredentialState.UNVERIFIED,
        serviceId: "",
      });
      const listed = await list();
      expect(listed.revision).toBe(revision);
      expect(listed.downloadClients.find(({ id }) => id === entry.id)).toEqual(entry);
    });

    it("takes priority 50 if none is given, and can make it disabled", async () => {
      const { downloadClient } = await downloadClients.createDownloadClient({
        downloadClient: target("disabled"),
        disabled: true,
      });
      expect(downloadClient).toMatchObject({
        enabled: false,
        priority: 50,
        tags: [],
        settings: {},
      });
    });

    it("needs the protocol of a kind that Pulse does not know, and takes no other for one it does", async () => {
      const create = (change: object) =>
        downloadClients.createDownloadClient({
          downloadClient: { ...target("kinds"), ...change },
        });
      for (const change of [{ kind: "brand-new" }, { kind: "sabnzbd", protocol: Protocol.TORRENT }])
        expect(await refusal(() => create(change))).toMatchObject({
          code: "InvalidArgument",
          fields: ["download_client.protocol"],
        });
      const made = await create({ kind: "brand-new", protocol: Protocol.TORRENT });
      expect(made.downloadClient).toMatchObject({ kind: "brand-new", protocol: Protocol.TORRENT });
    });

    it("of a name that another entry has is NAME_TAKEN, be that one hidden", async () => {
      const create = (text: string) =>
        downloadClients.createDownloadClient({ downloadClient: { ...target(""), name: text } });
      const auto = await makeAutoEntry();
      const { name: taken } = await makeEntry();
      const status = {
        code: "AlreadyExists",
        reason: "NAME_TAKEN",
        fields: ["download_client.name"],
      };
      expect(await refusal(() => create(taken))).toMatchObject(status);
      expect(await refusal(() => create(auto.name))).toMatchObject(status);
      await downloadClients.deleteDownloadClient({ id: auto.id });
      const hidden = await refusal(() => create(auto.name));
      expect(hidden).toMatchObject(status);
      expect(hidden.message).toContain("deleted");
    });

    it("that was deleted is gone for good, and its name is free again", async () => {
      const first = await makeEntry();
      await downloadClients.deleteDownloadClient({ id: first.id });
      expect(await isListed(first.id, { showDeleted: true })).toBe(false);
      const second = await makeEntry();
      expect([second.name, second.id === first.id]).toEqual([first.name, false]);
      expect(
        await refusal(() => downloadClients.restoreDownloadClient({ id: first.id })),
      ).toMatchObject({ code: "NotFound", reason: "NOT_FOUND" });
    });

    it.each<[string, object, string]>([
      ["no name", { name: "" }, "name"],
      ["a space at the end of the name", { name: "x " }, "name"],
      ["a name of 129 characters", { name: "x".repeat(129) }, "name"],
      ["no kind", { kind: "" }, "kind"],
      ["no host", { host: "" }, "host"],
      ["a URL for a host", { host: "http://nas" }, "host"],
      ["an unspecified address", { host: "0.0.0.0" }, "host"],
      ["no port", { port: 0 }, "port"],
      ["a port too high", { port: 65_536 }, "port"],
      ["a URL base without a slash", { urlBase: "sab" }, "url_base"],
      ["a priority too high", { priority: 101 }, "priority"],
      ["a category too long", { category: "x".repeat(129) }, "category"],
      ["a directory too long", { directory: "/".repeat(1_025) }, "directory"],
      ["a tag twice", { tags: ["x", "x"] }, "tags[1]"],
      ["an empty tag", { tags: [""] }, "tags[0]"],
      ["65 tags", { tags: Array.from({ length: 65 }, (_, n) => `${n}`) }, "tags"],
      ["settings over 64 KiB", { settings: { text: "x".repeat(65_536) } }, "settings"],
      [
        "settings over 64 KiB in bytes alone",
        { settings: { text: "ü".repeat(33_000) } },
        "settings",
      ],
      ["a user name too long", { username: "x".repeat(257) }, "username"],
      ["a password too long", { password: "x".repeat(4_097) }, "password"],
      ["an unknown protocol", { protocol: 99 }, "protocol"],
      ["an id", { id: "mine" }, "id"],
      ["a service", { serviceId: "x" }, "service_id"],
      ["overrides", { overrides: { host: "x" } }, "overrides"],
      ["an etag", { etag: "x" }, "etag"],
      ["a load", { load: {} }, "load"],
      ["a time", { createTime: { seconds: 1n, nanos: 0 } }, "create_time"],
    ])("with %s names the field and makes nothing", async (_, change, field) => {
      const call = () =>
        downloadClients.createDownloadClient({
          downloadClient: { ...target("refused"), ...change },
        });
      expect(await refusal(call)).toMatchObject({
        code: "InvalidArgument",
        reason: "FIELD_INVALID",
        fields: [`download_client.${field}`],
      });
    });

    it("of nothing, and with many bad fields, names all of them at once", async () => {
      expect(await refusal(() => downloadClients.createDownloadClient({}))).toMatchObject({
        fields: ["download_client"],
      });
      const call = () => downloadClients.createDownloadClient({ downloadClient: { id: "x" } });
      expect([...(await refusal(call)).fields].sort()).toEqual(
        ["host", "id", "kind", "name", "port"].map((field) => `download_client.${field}`),
      );
    });

    it("takes settings of 64 KiB", async () => {
      const text = "x".repeat(65_536 - JSON.stringify({ text: "" }).length);
      expect((await makeEntry({ settings: { text } })).settings).toEqual({ text });
    });
  });

  describe("UpdateDownloadClient", () => {
    it("changes what the mask names and nothing else", async () => {
      const before = await makeEntry({ category: "tv", tags: ["one"], username: "admin" });
      const { downloadClient, revision } = await update(
        { id: before.id, category: "films", priority: 9, tags: ["two"], username: "other" },
        "priority",
        "tags",
      );
      const after = present(downloadClient);
      expect(after).toMatchObject({
        category: "tv",
        priority: 9,
        tags: ["two"],
        username: "admin",
      });
      const { updateTime: _a, etag: was, priority: _b, tags: _c, ...kept } = before;
      expect(after).toMatchObject(kept);
      expect(after.etag).not.toBe(was);
      expect((await list()).revision).toBe(revision);
    });

    it("to what is there already commits nothing", async () => {
      const before = await makeEntry({ priority: 9 });
      const { revision } = await list();
      const reply = await update({ id: before.id, priority: 9 }, "priority");
      expect(reply.downloadClient).toEqual(before);
      expect((await list()).revision).toBe(revision);
    });

    it.each([...OPERATOR_PATHS, "kind", "protocol", ...ACCESS_PATHS])(
      "of a MANUAL entry can change %s",
      async (path) => {
        const { id } = await makeEntry();
        const change = {
          id,
          name: name("renamed"),
          enabled: false,
          priority: 1,
          category: "c",
          directory: "/d",
          tags: ["t"],
          settings: { s: 1 },
          kind: "nzbget",
          protocol: Protocol.USENET,
          host: "h.local",
          port: 1,
          useSsl: true,
          urlBase: "/u",
          username: "u",
          password: "p",
        };
        const key = path.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
        const reply = await update(change, path);
        expect(reply.downloadClient).toMatchObject({ [key]: change[key as keyof typeof change] });
      },
    );

    it.each(OPERATOR_PATHS)(
      "of an AUTO entry can change %s, and no Register undoes it",
      async (path) => {
        const { id } = await makeAutoEntry();
        const change = {
          id,
          name: name("renamed"),
          enabled: false,
          priority: 1,
          category: "c",
          directory: "/d",
          tags: ["t"],
          settings: { s: 1 },
        };
        await update(change, path);
        await registry.register(haul({ apiUrl: "http://10.9.9.9:9", kind: "aria2", version: "2" }));
        await registry.deregister(haul());
        await registry.register(haul());
        expect(await entryOf(id)).toMatchObject({ [path]: change[path as keyof typeof change] });
      },
    );

    it.each([...ACCESS_PATHS, "kind", "protocol"])(
      "of an AUTO entry cannot change %s, which is its service's",
      async (path) => {
        const { id } = await makeAutoEntry();
        const change = { id, kind: "aria2", host: "x.local", port: 1, priority: 1 };
        const status = await refusal(() => update(change, "priority", path));
        expect(status).toMatchObject({ code: "InvalidArgument", fields: ["update_mask"] });
        expect(status.message).toContain(path);
      },
    );

    it.each(["overrides", "overrides.host"])("of a MANUAL entry cannot change %s", async (path) => {
      const { id } = await makeEntry();
      expect(await refusal(() => update({ id, overrides: { host: "x" } }, path))).toMatchObject({
        code: "InvalidArgument",
        fields: ["update_mask"],
      });
    });

    it.each([
      "nonsense",
      "",
      "Name",
      "useSsl",
      "tags.0",
      "settings.x",
      "overrides.kind",
      "overrides.",
      "constructor",
      "__proto__",
      "id",
      "etag",
      "source",
      "availability",
      "credential_state",
      "service_id",
      "version",
      "load",
      "create_time",
      "update_time",
      "delete_time",
    ])("refuses the path %j, and all of the update with it", async (path) => {
      const { id } = await makeAutoEntry();
      expect(await refusal(() => update({ id, priority: 2 }, "priority", path))).toMatchObject({
        code: "InvalidArgument",
        reason: "FIELD_INVALID",
        fields: ["update_mask"],
      });
    });

    it("needs an id, a mask, and an entry that is there", async () => {
      const { id } = await makeEntry();
      expect((await refusal(() => update({ id: "", priority: 2 }, "priority"))).fields).toEqual([
        "download_client.id",
      ]);
      expect((await refusal(() => update({ id, priority: 2 }))).fields).toEqual(["update_mask"]);
      expect(await refusal(() => update({ id: "none", priority: 2 }, "priority"))).toMatchObject({
        code: "NotFound",
        reason: "NOT_FOUND",
      });
    });

    it.each<[string, object, string, string]>([
      ["a priority of 0", { priority: 0 }, "priority", "priority"],
      ["no name", { name: "" }, "name", "name"],
      ["settings over 64 KiB", { settings: { text: "x".repeat(65_536) } }, "settings", "settings"],
      ["a host that is none", { overrides: { host: "a b" } }, "overrides.host", "overrides.host"],
      ["an empty host", { overrides: { host: "" } }, "overrides", "overrides.host"],
      ["a port of 0", { overrides: { port: 0 } }, "overrides.port", "overrides.port"],
      [
        "a long password",
        { overrides: { password: "x".repeat(4_097) } },
        "overrides",
        "overrides.password",
      ],
    ])("to %s names the field and changes nothing", async (_, change, path, field) => {
      const { id } = await makeAutoEntry();
      expect(await refusal(() => update({ id, ...change }, path))).toMatchObject({
        code: "InvalidArgument",
        fields: [`download_client.${field}`],
      });
    });

    it("to a name that is taken is NAME_TAKEN; to its own is not", async () => {
      const first = await makeEntry();
      const { id, name: own } = await makeAutoEntry();
      expect(await refusal(() => update({ id, name: first.name }, "name"))).toMatchObject({
        code: "AlreadyExists",
        reason: "NAME_TAKEN",
        fields: ["download_client.name"],
      });
      expect((await update({ id, name: own }, "name")).downloadClient?.name).toBe(own);
    });

    it("with an etag that is not the newest is ABORTED; with the newest it passes", async () => {
      const { id, etag } = await makeEntry();
      const edited = await update({ id, etag, priority: 2 }, "priority");
      expect(await refusal(() => update({ id, etag, priority: 3 }, "priority"))).toMatchObject({
        code: "Aborted",
        reason: "ETAG_MISMATCH",
      });
      await update({ id, etag: present(edited.downloadClient).etag, priority: 3 }, "priority");
      expect((await entryOf(id)).priority).toBe(3);
    });

    it("of two at once with one etag, one is ABORTED", async () => {
      const { id, etag } = await makeEntry();
      const replies = await Promise.allSettled(
        [2, 3, 4, 5].map((priority) => update({ id, etag, priority }, "priority")),
      );
      expect(replies.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const reply of replies)
        if (reply.status === "rejected")
          expect(await failure(Promise.reject(reply.reason))).toMatchObject({
            reason: "ETAG_MISMATCH",
          });
    });

    it("an etag is no longer the newest when the service changed what managers see", async () => {
      const { id, etag } = await makeAutoEntry();
      await registry.register(haul());
      await update({ id, etag, priority: 2 }, "priority"); // nothing has changed so far
      const now = await entryOf(id);
      await registry.register(haul({ version: "9" }));
      expect(
        await refusal(() => update({ id, etag: now.etag, priority: 3 }, "priority")),
      ).toMatchObject({ reason: "ETAG_MISMATCH" });
    });
  });

  describe("overrides", () => {
    it("take the place of the service's fields, live beside them, and can be cleared", async () => {
      const { id } = await makeAutoEntry();
      const overrides = {
        host: "proxy.local",
        port: 443,
        useSsl: true,
        urlBase: "/proxy",
        username: "me",
        password: "my own",
      };
      const { downloadClient } = await update({ id, overrides }, "overrides");
      expect(downloadClient).toMatchObject({ ...overrides, overrides });

      // What is below changes, and is seen only where it is not overridden.
      await registry.register({
        ...haul({ apiUrl: "https://10.1.1.1:1234/new", kind: "aria2" }),
        serviceApiKey: "a new key",
      });
      expect(await entryOf(id)).toMatchObject({ ...overrides, overrides, kind: "aria2" });

      await update({ id, overrides: { port: 444 } }, "overrides.host", "overrides.port");
      expect(await entryOf(id)).toMatchObject({
        host: "10.1.1.1",
        port: 444,
        urlBase: "/proxy",
        password: "my own",
      });
      const cleared = await update({ id }, "overrides");
      expect(cleared.downloadClient?.overrides).toBeUndefined();
      expect(await entryOf(id)).toMatchObject({
        host: "10.1.1.1",
        port: 1234,
        useSsl: true,
        urlBase: "/new",
        username: "admin",
        password: "a new key",
      });
    });

    it("may be empty where that is a value: no user, no password, no URL base", async () => {
      const { id } = await makeAutoEntry();
      const overrides = { urlBase: "", username: "", password: "" };
      await update({ id, overrides }, "overrides");
      expect(await entryOf(id)).toMatchObject({ ...overrides, overrides, host: "192.168.1.10" });
    });

    it("survive a restart, with their secrets", async () => {
      const { id } = await makeAutoEntry();
      await update({ id, overrides: { username: "", password: "kept" } }, "overrides");
      const before = await entryOf(id);
      await pulse.restart();
      expect(await entryOf(id)).toEqual(before);
    });
  });

  describe("DeleteDownloadClient of an AUTO entry", () => {
    it("lasts through Register, Deregister, return, goodbye and restart, until it is restored", async () => {
      const { id } = await makeAutoEntry();
      await update({ id, priority: 7, overrides: { host: "kept" } }, "priority", "overrides");
      const { revision } = await downloadClients.deleteDownloadClient({ id });
      expect(await list()).toMatchObject({ revision });
      expect(await isListed(id)).toBe(false);

      const again = await registry.register(haul({ version: "2" }));
      expect(again.downloadClient).toBeUndefined();
      expect(await isListed(id)).toBe(false);
      await registry.deregister(haul());
      const { lease } = await registry.register(haul());
      expect(await isListed(id)).toBe(false);
      const { registry: beating } = pulse.clients("gRPC", await pulse.fileToken("admin"));
      const stream = new HeartbeatClient(beating);
      await stream.beat({ leaseId: lease?.id ?? "", sequence: 1n, goodbye: true });
      await stream.end();
      expect(await isListed(id)).toBe(false);
      await pulse.restart();
      await registry.register(haul());
      expect(await isListed(id)).toBe(false);

      const [hidden] = (await list({ showDeleted: true })).downloadClients.filter(
        (entry) => entry.id === id,
      );
      expect(hidden?.deleteTime).toBeDefined();
      const restored = await downloadClients.restoreDownloadClient({ id });
      expect(restored.downloadClient).toMatchObject({ id, priority: 7, host: "kept" });
      expect(restored.downloadClient?.deleteTime).toBeUndefined();
      expect(await entryOf(id)).toEqual(restored.downloadClient);
    });

    it("again succeeds and changes nothing; so does to restore what is there", async () => {
      const { id } = await makeAutoEntry();
      const first = await downloadClients.deleteDownloadClient({ id });
      const second = await downloadClients.deleteDownloadClient({ id, etag: "stale" });
      expect(second.revision).toBe(first.revision);
      const restored = await downloadClients.restoreDownloadClient({ id });
      expect((await downloadClients.restoreDownloadClient({ id })).revision).toBe(
        restored.revision,
      );
    });

    it("keeps its name: the next service of that name gets another", async () => {
      const { id, name: own } = await makeAutoEntry();
      await downloadClients.deleteDownloadClient({ id });
      const other = await registry.register({ ...haul(), instanceId: name("second") });
      expect(other.downloadClient?.name).toBe(`${own}-2`);
    });

    it("hides it from editing: it is to be restored first", async () => {
      const { id } = await makeAutoEntry();
      await downloadClients.deleteDownloadClient({ id });
      expect(await refusal(() => update({ id, priority: 2 }, "priority"))).toMatchObject({
        code: "FailedPrecondition",
        reason: "ENTRY_DELETED",
      });
    });

    it("with a stale etag is ABORTED", async () => {
      const { id, etag } = await makeAutoEntry();
      await update({ id, priority: 2 }, "priority");
      expect(await refusal(() => downloadClients.deleteDownloadClient({ id, etag }))).toMatchObject(
        { code: "Aborted", reason: "ETAG_MISMATCH" },
      );
      expect(await isListed(id)).toBe(true);
    });

    it("whose service is away can be restored, and shows when that is back", async () => {
      const { id } = await makeAutoEntry();
      await downloadClients.deleteDownloadClient({ id });
      await registry.deregister(haul());
      await downloadClients.restoreDownloadClient({ id });
      expect(await isListed(id)).toBe(false);
      await registry.register(haul());
      expect(await isListed(id)).toBe(true);
    });
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ["DeleteDownloadClient", (id) => downloadClients.deleteDownloadClient({ id })],
    ["RestoreDownloadClient", (id) => downloadClients.restoreDownloadClient({ id })],
    ["TestDownloadClient", (id) => downloadClients.testDownloadClient({ id })],
  ])("%s needs an id, and an entry that is there", async (_, call) => {
    expect(await refusal(() => call(""))).toMatchObject({
      code: "InvalidArgument",
      fields: ["id"],
    });
    expect(await refusal(() => call("none"))).toMatchObject({
      code: "NotFound",
      reason: "NOT_FOUND",
    });
  });

  describe("TestDownloadClient", () => {
    /** A MANUAL entry of something on loopback. */
    async function entryAt(url: string, change: object = {}): Promise<string> {
      const { hostname, port } = new URL(url);
      const entry = await makeEntry({
        kind: "qbittorrent",
        host: hostname,
        port: Number(port),
        username: "admin",
        password: "right",
        ...change,
      });
      return entry.id;
    }
    const test = (id: string) => downloadClients.testDownloadClient({ id });

    it("logs in with what is stored, and what it learns is kept and told to managers", async () => {
      const client = new FakeQBittorrent();
      const id = await entryAt(await serve(client.listener));
      const ok = await test(id);
      expect(ok).toMatchObject({
        outcome: TestOutcome.OK,
        version: "4.5.2",
        credentialState: CredentialState.VERIFIED,
      });
      expect(ok.latency).toBeDefined();
      expect((await entryOf(id)).credentialState).toBe(CredentialState.VERIFIED);

      client.password = "changed";
      client.restart();
      const rejected = await test(id);
      expect(rejected).toMatchObject({
        outcome: TestOutcome.CREDENTIALS_REJECTED,
        credentialState: CredentialState.REJECTED,
      });
      expect(rejected.message).not.toContain("right");
      expect((await entryOf(id)).credentialState).toBe(CredentialState.REJECTED);
      // New ones have not been tried.
      await update({ id, password: "changed" }, "password");
      expect((await entryOf(id)).credentialState).toBe(CredentialState.UNVERIFIED);
    });

    it("proves nothing if the client does not look at the credentials", async () => {
      const client = new FakeQBittorrent();
      client.open = true;
      const id = await entryAt(await serve(client.listener));
      expect(await test(id)).toMatchObject({
        outcome: TestOutcome.OK,
        credentialState: CredentialState.UNVERIFIED,
      });
    });

    it("says when nobody answers, when it is something else, and when it is too old", async () => {
      const nobody = await entryAt("http://127.0.0.1:1", { name: name("nobody") });
      expect((await test(nobody)).outcome).toBe(TestOutcome.UNREACHABLE);
      const web = await serve((_request, response) => response.end("<html>a web site</html>"));
      const website = await entryAt(web, { name: name("website") });
      expect((await test(website)).outcome).toBe(TestOutcome.WRONG_KIND);
      const old = new FakeQBittorrent();
      old.version = "v3.0.0";
      const ancient = await entryAt(await serve(old.listener), { name: name("ancient") });
      expect((await test(ancient)).outcome).toBe(TestOutcome.UNSUPPORTED_VERSION);
      for (const id of [nobody, website])
        expect((await entryOf(id)).credentialState).toBe(CredentialState.UNVERIFIED);
    });

    it("tries nothing with a kind that Pulse cannot log in to", async () => {
      const { id } = await makeEntry({ kind: "rtorrent" });
      const before = await list();
      const reply = await test(id);
      expect(reply.outcome).toBe(TestOutcome.UNSUPPORTED_KIND);
      expect(reply.message).toContain("rtorrent");
      expect(await list()).toEqual(before);
    });

    it("uses the overrides of an AUTO entry, and leaves to the service what is the service's", async () => {
      const client = new FakeQBittorrent();
      const { port } = new URL(await serve(client.listener));
      const { id } = await makeAutoEntry();
      const address = { host: "127.0.0.1", port: Number(port), urlBase: "" };
      await update({ id, overrides: address }, "overrides");
      expect(await test(id)).toMatchObject({
        outcome: TestOutcome.CREDENTIALS_REJECTED,
        credentialState: CredentialState.UNVERIFIED,
      });
      await update({ id, overrides: { password: "right" } }, "overrides.password");
      expect(await test(id)).toMatchObject({
        outcome: TestOutcome.OK,
        credentialState: CredentialState.VERIFIED,
      });
    });
  });

  it.each(["REGISTER", "DISCOVER", "OBSERVE"] as const)(
    "scope %s may edit nothing",
    async (scope) => {
      const { id } = await makeEntry();
      const made = await tokens.createToken({ name: scope, scopes: [Scope[scope]] });
      const other = pulse.clients(protocol, made.token).downloadClients;
      const updateMask = { paths: ["priority"] };
      for (const call of [
        () => other.createDownloadClient({ downloadClient: target("x") }),
        () => other.updateDownloadClient({ downloadClient: { id, priority: 1 }, updateMask }),
        () => other.deleteDownloadClient({ id }),
        () => other.restoreDownloadClient({ id }),
        () => other.testDownloadClient({ id }),
      ])
        expect(await refusal(call)).toMatchObject({
          code: "PermissionDenied",
          reason: "SCOPE_MISSING",
        });
    },
  );
});

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("it is missing");
  return value;
}
