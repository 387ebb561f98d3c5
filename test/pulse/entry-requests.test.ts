import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  AuthScheme,
  Availability,
  CredentialState,
  DownloadClientSchema,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import {
  CreateDownloadClientRequestSchema,
  UpdateDownloadClientRequestSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { DomainError } from "../../src/core/errors.js";
import { readEntryUpdate, readNewEntry } from "../../src/pulse/entry-requests.js";

type Message = MessageInitShape<typeof DownloadClientSchema>;

const VALID = { name: "nas", kind: "qbittorrent", host: "nas.local", port: 8080 };

const readNew = (downloadClient: Message, disabled = false) =>
  readNewEntry(create(CreateDownloadClientRequestSchema, { downloadClient, disabled }));

const readUpdate = (downloadClient: Message, ...paths: string[]) =>
  readEntryUpdate(
    create(UpdateDownloadClientRequestSchema, {
      downloadClient: { id: "entry-1", ...downloadClient },
      updateMask: { paths },
    }),
    "ops",
  );

/** `field: description` of all that is refused. */
function violationsOf(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof DomainError && error.refusal.kind === "invalid")
      return error.refusal.violations.map(({ field, description }) => `${field}: ${description}`);
    throw error;
  }
  return [];
}
const fieldsOf = (action: () => unknown) =>
  violationsOf(action).map((text) => text.slice(0, text.indexOf(":")));

describe("a new entry", () => {
  it("needs little, and has defaults for the rest", () => {
    expect(readNew(VALID)).toEqual({
      fields: {
        name: "nas",
        enabled: true,
        priority: 50,
        category: "",
        directory: "",
        tags: [],
        settings: {},
      },
      target: {
        kind: "qbittorrent",
        protocol: undefined,
        host: "nas.local",
        port: 8080,
        useSsl: false,
        urlBase: "",
        username: "",
        password: "",
        downloadDirectory: "",
        pathMappings: [],
      },
    });
  });

  it("has all that its operator says", () => {
    const said = {
      priority: 3,
      category: "tv",
      directory: "/data/tv",
      tags: ["fast"],
      settings: { ratio: 2, paths: ["a", { b: null }] },
    };
    const access = {
      useSsl: true,
      urlBase: "/qbt/",
      username: "admin",
      password: "secret",
      protocol: Protocol.TORRENT,
      downloadDirectory: "/dl",
      pathMappings: [{ clientPath: "/dl", managerPath: "/data" }],
    };
    const { fields, target } = readNew({ ...VALID, ...said, ...access }, true);
    expect(fields).toEqual({ ...said, name: "nas", enabled: false });
    expect(target).toEqual({
      ...access,
      kind: "qbittorrent",
      host: "nas.local",
      port: 8080,
      urlBase: "/qbt",
      protocol: "torrent",
    });
  });

  it("is enabled unless it says disabled, whatever `enabled` says", () => {
    for (const enabled of [true, false]) {
      expect(readNew({ ...VALID, enabled }).fields.enabled).toBe(true);
      expect(readNew({ ...VALID, enabled }, true).fields.enabled).toBe(false);
    }
  });

  it("must be there, with what is required", () => {
    expect(fieldsOf(() => readNewEntry(create(CreateDownloadClientRequestSchema)))).toEqual([
      "download_client",
    ]);
    expect(fieldsOf(() => readNew({}))).toEqual(
      ["name", "kind", "port", "host"].map((field) => `download_client.${field}`),
    );
  });

  it.each<[string, Message]>([
    ["name", { name: "x".repeat(129) }],
    ["name", { name: " x" }],
    ["kind", { kind: "qBittorrent" }],
    ["host", { host: "http://nas" }],
    ["host", { host: "0.0.0.0" }],
    ["port", { port: 65_536 }],
    ["url_base", { urlBase: "qbt" }],
    ["url_base", { urlBase: "/qbt?x=1" }],
    ["username", { username: "x".repeat(257) }],
    ["password", { password: "x".repeat(4_097) }],
    ["priority", { priority: 101 }],
    ["category", { category: "x".repeat(129) }],
    ["directory", { directory: "x".repeat(1_025) }],
    ["tags", { tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }],
    ["tags[1]", { tags: ["a", "a"] }],
    ["settings", { settings: { x: "x".repeat(65_536) } }],
    ["settings", { settings: { x: Number.NaN } }],
    ["protocol", { protocol: 99 as Protocol }],
    ["download_directory", { downloadDirectory: "\n" }],
    ["path_mappings[0].client_path", { pathMappings: [{ clientPath: "x", managerPath: "/x" }] }],
    ["path_mappings[0].manager_path", { pathMappings: [{ clientPath: "/x" }] }],
  ])("is refused for its %s, and for that alone", (field, change) => {
    expect(fieldsOf(() => readNew({ ...VALID, ...change }))).toEqual([`download_client.${field}`]);
  });

  it("names every bad field at once", () => {
    const bad = { name: "", port: 0, priority: 1_000, tags: [""], protocol: 99 as Protocol };
    expect(fieldsOf(() => readNew({ ...VALID, ...bad })).sort()).toEqual(
      ["name", "port", "priority", "protocol", "tags[0]"].map((name) => `download_client.${name}`),
    );
  });

  it.each<[string, Message]>([
    ["id", { id: "mine" }],
    ["auth_scheme", { authScheme: AuthScheme.BASIC }],
    ["source", { source: Source.AUTO }],
    ["availability", { availability: Availability.OFFLINE }],
    ["availability_reason", { availabilityReason: "why" }],
    ["credential_state", { credentialState: CredentialState.VERIFIED }],
    ["service_id", { serviceId: "service-1" }],
    ["load", { load: { active: 1 } }],
    ["last_verified_time", { lastVerifiedTime: { seconds: 1n } }],
    ["version", { version: "4.5.2" }],
    ["create_time", { createTime: { seconds: 1n } }],
    ["update_time", { updateTime: { seconds: 1n } }],
    ["delete_time", { deleteTime: { seconds: 1n } }],
    ["hidden", { hidden: true }],
    ["last_verified_time", { lastVerifiedTime: { seconds: 1n } }],
    ["etag", { etag: "x" }],
    ["overrides", { overrides: { host: "other" } }],
  ])("says nothing of %s, which is not its operator's to say", (field, change) => {
    expect(violationsOf(() => readNew({ ...VALID, ...change }))).toEqual([
      `download_client.${field}: must be left out`,
    ]);
  });

  it("has every field of the contract either read, refused, or ignored", () => {
    const read = `name kind protocol host port use_ssl url_base username password priority
      category directory tags settings enabled download_directory path_mappings`.split(/\s+/);
    const refused = `id auth_scheme source availability availability_reason credential_state
      service_id load version create_time update_time delete_time hidden last_verified_time etag overrides`.split(
      /\s+/,
    );
    expect(DownloadClientSchema.fields.map(({ name }) => name).sort()).toEqual(
      [...read, ...refused].sort(),
    );
  });

  it("tells no secret when it is refused", () => {
    const [text] = violationsOf(() =>
      readNew({ ...VALID, password: `planted${"x".repeat(4_096)}` }),
    );
    expect(text).toMatch(/^download_client\.password: /);
    expect(text).not.toContain("planted");
  });
});

describe("an update", () => {
  const nothing = { fields: {}, target: {}, overrides: {} };
  const everything: Message = {
    name: "new",
    enabled: true,
    priority: 7,
    category: "tv",
    directory: "/tv",
    tags: ["a"],
    settings: { a: 1 },
    kind: "aria2",
    protocol: Protocol.USENET,
    host: "host",
    port: 1,
    useSsl: true,
    urlBase: "/base",
    username: "user",
    password: "key",
    downloadDirectory: "/dl",
    pathMappings: [{ clientPath: "/dl", managerPath: "/data" }],
    overrides: {
      host: "over",
      port: 2,
      useSsl: false,
      urlBase: "/over",
      username: "over-user",
      password: "over-key",
    },
  };

  it.each([
    ["name", { ...nothing, fields: { name: "new" } }],
    ["enabled", { ...nothing, fields: { enabled: true } }],
    ["priority", { ...nothing, fields: { priority: 7 } }],
    ["category", { ...nothing, fields: { category: "tv" } }],
    ["directory", { ...nothing, fields: { directory: "/tv" } }],
    ["tags", { ...nothing, fields: { tags: ["a"] } }],
    ["settings", { ...nothing, fields: { settings: { a: 1 } } }],
    ["kind", { ...nothing, target: { kind: "aria2" } }],
    ["protocol", { ...nothing, protocol: "usenet" }],
    ["host", { ...nothing, target: { host: "host" } }],
    ["port", { ...nothing, target: { port: 1 } }],
    ["use_ssl", { ...nothing, target: { useSsl: true } }],
    ["url_base", { ...nothing, target: { urlBase: "/base" } }],
    ["username", { ...nothing, target: { username: "user" } }],
    ["password", { ...nothing, target: { password: "key" } }],
    ["download_directory", { ...nothing, target: { downloadDirectory: "/dl" } }],
    ["path_mappings", { ...nothing, target: { pathMappings: everything.pathMappings } }],
    ["overrides.host", { ...nothing, overrides: { host: "over" } }],
    ["overrides.port", { ...nothing, overrides: { port: 2 } }],
    ["overrides.use_ssl", { ...nothing, overrides: { useSsl: false } }],
    ["overrides.url_base", { ...nothing, overrides: { urlBase: "/over" } }],
    ["overrides.username", { ...nothing, overrides: { username: "over-user" } }],
    ["overrides.password", { ...nothing, overrides: { password: "over-key" } }],
    ["overrides", { ...nothing, overrides: everything.overrides }],
  ])("of %s reads that, and nothing else of the message", (path, patch) => {
    const update = readUpdate({ ...everything, etag: "e" }, path);
    expect(update).toEqual({ id: "entry-1", etag: "e", patch, paths: [path], by: "ops" });
  });

  it("clears what it names and does not have", () => {
    const paths = ["category", "directory", "tags", "settings", "enabled", "url_base", "username"];
    expect(readUpdate({}, ...paths).patch).toEqual({
      ...nothing,
      fields: { category: "", directory: "", tags: [], settings: {}, enabled: false },
      target: { urlBase: "", username: "" },
    });
    expect(readUpdate({}, "protocol").patch.protocol).toBe("known");
    expect(readUpdate({}, "download_directory", "path_mappings").patch.target).toEqual({
      downloadDirectory: "",
      pathMappings: [],
    });
    const cleared = readUpdate({ overrides: { port: 1 } }, "overrides.host", "overrides.port");
    expect(Object.entries(cleared.patch.overrides)).toEqual([
      ["host", undefined],
      ["port", 1],
    ]);
    const all = readUpdate({ overrides: { password: "" } }, "overrides").patch.overrides;
    expect(all).toEqual({
      host: undefined,
      port: undefined,
      useSsl: undefined,
      urlBase: undefined,
      username: undefined,
      password: "",
    });
    expect(Object.keys(all)).toHaveLength(6);
  });

  it("takes several paths together, each once", () => {
    const { patch, paths } = readUpdate(
      everything,
      "name",
      "priority",
      "host",
      "port",
      "overrides.host",
      "overrides",
      "name",
    );
    expect(paths).toEqual(["name", "priority", "host", "port", "overrides.host", "overrides"]);
    expect(patch).toEqual({
      fields: { name: "new", priority: 7 },
      target: { host: "host", port: 1 },
      overrides: everything.overrides,
    });
  });

  it("keeps addresses in the form in which entries have them", () => {
    const message = { urlBase: "/a/", overrides: { host: "NAS.local", urlBase: "/b/" } };
    expect(readUpdate(message, "url_base", "overrides").patch).toMatchObject({
      target: { urlBase: "/a" },
      overrides: { host: "nas.local", urlBase: "/b" },
    });
  });

  it.each<[string, Message, string]>([
    ["name", { name: "" }, "download_client.name"],
    ["priority", { priority: 0 }, "download_client.priority"],
    ["host", {}, "download_client.host"],
    ["port", {}, "download_client.port"],
    ["kind", {}, "download_client.kind"],
    ["protocol", { protocol: 99 as Protocol }, "download_client.protocol"],
    ["tags", { tags: [""] }, "download_client.tags[0]"],
    ["settings", { settings: { x: "x".repeat(65_536) } }, "download_client.settings"],
    ["overrides.host", { overrides: { host: "" } }, "download_client.overrides.host"],
    ["overrides.port", { overrides: { port: 0 } }, "download_client.overrides.port"],
    ["overrides", { overrides: { urlBase: "x" } }, "download_client.overrides.url_base"],
    [
      "overrides.password",
      { overrides: { password: "x".repeat(4_097) } },
      "download_client.overrides.password",
    ],
  ])("of %s is held to its bounds", (path, message, field) => {
    expect(fieldsOf(() => readUpdate(message, path))).toEqual([field]);
  });

  it("does not look at what its mask leaves out", () => {
    expect(fieldsOf(() => readUpdate({ name: "", priority: 1_000, port: 99_999 }, "tags"))).toEqual(
      [],
    );
  });

  it("needs an id and a mask, and says both", () => {
    const bare = create(UpdateDownloadClientRequestSchema);
    expect(fieldsOf(() => readEntryUpdate(bare, "ops"))).toEqual([
      "download_client.id",
      "update_mask",
    ]);
    expect(fieldsOf(() => readUpdate({ id: "" }, "name", "nonsense"))).toContain(
      "download_client.id",
    );
    expect(violationsOf(() => readUpdate({}))).toEqual([
      "update_mask: is required: name the fields to change, such as priority",
    ]);
  });

  it.each([
    "id",
    "auth_scheme",
    "source",
    "availability",
    "availability_reason",
    "credential_state",
    "service_id",
    "load",
    "version",
    "create_time",
    "update_time",
    "delete_time",
    "hidden",
    "etag",
  ])("of %s is refused: nobody changes that by hand", (path) => {
    expect(violationsOf(() => readUpdate({}, "priority", path))).toContain(
      `update_mask: "${path}" cannot be changed by hand`,
    );
  });

  it.each([
    "*",
    "",
    "Name",
    "overrides.kind",
    "settings.a",
    "overrides.host.x",
    "__proto__",
    "x y",
  ])("of %j is refused, and what may be changed is told", (path) => {
    const [text = ""] = violationsOf(() => readUpdate({ priority: 1 }, "priority", path));
    expect(text).toContain(`update_mask: ${JSON.stringify(path)} is no field`);
    expect(text).toContain("name some of name, enabled, priority");
    expect(text).toContain("overrides.password");
  });

  it("has each path of the contract either read or refused as read-only", () => {
    const known = DownloadClientSchema.fields.map(({ name }) => name);
    for (const path of known)
      expect(violationsOf(() => readUpdate(everything, path)).join()).not.toContain("is no field");
  });

  it("with countless bad paths is answered in few words", () => {
    const paths = Array.from({ length: 20_000 }, (_, i) => `nonsense ${i}`);
    const violations = violationsOf(() => readUpdate({}, ...paths));
    expect(violations.length).toBeGreaterThan(0);
    expect(violations.join("; ").length).toBeLessThan(4_000);
    const few = violationsOf(() => readUpdate({}, ...paths.slice(0, 22)));
    expect(few).toHaveLength(22);
    expect(few.join("; ").length).toBeLessThan(4_000);
  });
});
