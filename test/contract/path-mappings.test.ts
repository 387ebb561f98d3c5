import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { toManagerPath } from "../../src/client/index.js";
import { type Clients, HAUL, LONG_TTL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";
import { WatchReader } from "../support/watch-reader.js";

const mapping = (clientPath: string, managerPath: string) => ({ clientPath, managerPath });
const PLACES = {
  downloadDirectory: "/downloads",
  pathMappings: [mapping("/downloads", "/data/downloads"), mapping("/incomplete", "/data/inc")],
};
const NOWHERE = { downloadDirectory: "", pathMappings: [] };

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start({ watch: { bookmarkIntervalMs: 150 } });
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  const haul = (name: string, places: object) => ({
    ...HAUL,
    service: { ...HAUL.service, name, ...places },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
  });

  async function entryNamed(name: string, clients = admin): Promise<DownloadClient> {
    const { downloadClients } = await clients.downloadClients.listDownloadClients({});
    const entry = downloadClients.find((each) => each.name === name);
    if (!entry) throw new Error(`there is no ${name}`);
    return entry;
  }

  it("goes from a Register to lists and watches, and changes with the next one that says otherwise", async () => {
    const watch = new WatchReader((options) =>
      admin.downloadClients.watchDownloadClients({}, options),
    );
    onTestFinished(() => watch.close());
    await watch.snapshot();

    const first = await admin.registry.register(haul("mapped", PLACES));
    expect(first.downloadClient).toMatchObject(PLACES);
    expect(first.service?.spec).toMatchObject(PLACES);
    expect(await watch.change()).toMatchObject({
      what: "PUT: registered",
      downloadClient: { name: "mapped", ...PLACES },
    });
    const listed = await entryNamed("mapped");
    expect(listed).toMatchObject(PLACES);
    expect(toManagerPath(listed, "/downloads/tv/a.mkv")).toBe("/data/downloads/tv/a.mkv");
    const { service } = await admin.registry.getService({ id: first.service?.id ?? "" });
    expect(service?.spec).toMatchObject(PLACES);

    // The same again is no change to managers.
    await admin.registry.register(haul("mapped", structuredClone(PLACES)));
    expect((await entryNamed("mapped")).etag).toBe(listed.etag);

    const moved = { ...PLACES, pathMappings: [mapping("/downloads", "/elsewhere")] };
    await admin.registry.register(haul("mapped", moved));
    const told = await watch.change();
    expect(told).toMatchObject({ what: "PUT: re-registered", downloadClient: moved });
    expect(told.downloadClient?.etag).not.toBe(listed.etag);
    expect(told.downloadClient?.pathMappings).toHaveLength(1);

    await admin.registry.register(haul("mapped", {}));
    expect((await watch.change()).downloadClient).toMatchObject(NOWHERE);
  });

  it("is no secret, and outlives a restart", async () => {
    await admin.registry.register(haul("kept", PLACES));
    await pulse.restart();
    const token = await pulse.token(Scope.OBSERVE);
    expect(await entryNamed("kept", pulse.clients(protocol, token))).toMatchObject({
      password: "",
      ...PLACES,
    });
  });

  describe("of an entry made by hand", () => {
    const make = async (name: string, change: object = {}) => {
      const downloadClient = { name, kind: "sabnzbd", host: "nas", port: 8080, ...change };
      const reply = await admin.downloadClients.createDownloadClient({ downloadClient });
      return reply.downloadClient?.id ?? "";
    };
    const update = (id: string, change: object, ...paths: string[]) =>
      admin.downloadClients.updateDownloadClient({
        downloadClient: { id, ...change },
        updateMask: { paths },
      });

    it("is what its operator says, until he says otherwise", async () => {
      const id = await make("by-hand", PLACES);
      expect(await entryNamed("by-hand")).toMatchObject(PLACES);
      const pathMappings = [mapping("C:\\Downloads", "\\\\nas\\downloads")];
      const { downloadClient } = await update(id, { ...NOWHERE, pathMappings }, "path_mappings");
      expect(downloadClient).toMatchObject({ ...PLACES, pathMappings });
      const etag = downloadClient?.etag;
      const same = await update(id, { pathMappings }, "path_mappings", "download_directory");
      expect(same.downloadClient).toMatchObject({ downloadDirectory: "", pathMappings });
      expect(same.downloadClient?.etag).not.toBe(etag);
      const again = await update(id, { pathMappings }, "path_mappings");
      expect(again.downloadClient?.etag).toBe(same.downloadClient?.etag);
      expect((await update(id, {}, "path_mappings")).downloadClient).toMatchObject(NOWHERE);
      expect((await entryNamed("by-hand")).credentialState).toBe(CredentialState.UNVERIFIED);
    });

    it.each([
      ["download_directory", { downloadDirectory: "x".repeat(1_025) }],
      ["path_mappings[0].client_path", { pathMappings: [mapping("downloads", "/data")] }],
    ])("is refused for its %s", async (field, change) => {
      const refused = { code: "InvalidArgument", fields: [`download_client.${field}`] };
      expect(await failure(make("never", change))).toMatchObject(refused);
      const id = await make(`in-form-${field.slice(0, 4)}`);
      const path = field.replace(/\[.*/, "");
      expect(await failure(update(id, change, path))).toMatchObject(refused);
    });
  });

  it.each(["download_directory", "path_mappings"])(
    "belongs to the service of one that is registered: %s",
    async (path) => {
      await admin.registry.register(haul("owned", PLACES));
      const { id } = await entryNamed("owned");
      const call = admin.downloadClients.updateDownloadClient({
        downloadClient: { id },
        updateMask: { paths: [path] },
      });
      expect(await failure(call)).toMatchObject({
        code: "InvalidArgument",
        fields: ["update_mask"],
        message: expect.stringContaining(`${path} of an AUTO entry belongs to its service`),
      });
      expect(await entryNamed("owned")).toMatchObject(PLACES);
    },
  );
});
