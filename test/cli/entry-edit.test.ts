import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { DownloadClientSchema, Source } from "../../gen/pulse/v1/download_client_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { checkEdit, type EditInput, entryEdit } from "../../src/cli/entry-edit.js";
import { UsageError } from "../../src/cli/failure.js";

const known = { id: "7", etag: "at 3", name: "nas" };
const auto = create(DownloadClientSchema, { ...known, source: Source.AUTO });
const manual = create(DownloadClientSchema, { ...known, source: Source.MANUAL });
const address = { host: "nas", port: 443, useSsl: true, urlBase: "/x" };

const edit = (entry: typeof auto, input: Partial<EditInput>) =>
  entryEdit(entry, { clear: [], ...input });

test("only what was said is sent, with the etag that was read", () => {
  const { downloadClient, paths, words } = edit(auto, { priority: 3, tags: ["a"], enabled: false });
  expect(downloadClient).toMatchObject({
    id: "7",
    etag: "at 3",
    priority: 3,
    tags: ["a"],
    name: "",
  });
  expect([...paths].sort()).toEqual(["enabled", "priority", "tags"]);
  expect([...words].sort()).toEqual(["enabled", "priority", "tags"]);
});

describe("address and credentials", () => {
  const input = { address, username: "me", password: "hunter2" };

  test("of a registered entry become overrides", () => {
    const { downloadClient, paths, words } = edit(auto, input);
    expect(downloadClient).toMatchObject({
      host: "",
      password: "",
      overrides: { ...address, username: "me", password: "hunter2" },
    });
    expect(paths).toEqual([
      "overrides.host",
      "overrides.port",
      "overrides.use_ssl",
      "overrides.url_base",
      "overrides.username",
      "overrides.password",
    ]);
    expect(words).toEqual(["url", "username", "password"]);
  });

  test("of one made by hand are its own", () => {
    const { downloadClient, paths } = edit(manual, input);
    expect(downloadClient).toMatchObject({ ...address, username: "me", password: "hunter2" });
    expect(downloadClient.overrides).toBeUndefined();
    expect(paths).toEqual(["host", "port", "use_ssl", "url_base", "username", "password"]);
  });
});

describe("clearing", () => {
  test("takes overrides away from a registered entry: named, and absent", () => {
    const { downloadClient, paths } = edit(auto, { clear: ["url", "password"] });
    expect(paths).toEqual([
      "overrides.host",
      "overrides.port",
      "overrides.use_ssl",
      "overrides.url_base",
      "overrides.password",
    ]);
    expect(downloadClient.overrides?.host).toBeUndefined();
    expect(downloadClient.overrides?.password).toBeUndefined();
  });

  test("empties fields: named, and with their empty value", () => {
    const { downloadClient, paths, words } = edit(manual, {
      clear: ["username", "category", "tags", "settings"],
    });
    expect([...paths].sort()).toEqual(["category", "settings", "tags", "username"]);
    expect(downloadClient).toMatchObject({ username: "", category: "", tags: [] });
    expect(downloadClient.settings).toBeUndefined();
    expect(words).toEqual(["username", "category", "tags", "settings"]);
  });

  test("cannot take the address from one made by hand", () => {
    expect(() => edit(manual, { clear: ["url"] })).toThrow("give another one with --url");
  });
});

describe("what only a service says of itself", () => {
  test.each([
    { input: { kind: "aria2" }, option: "--kind" },
    { input: { protocol: Protocol.USENET }, option: "--protocol" },
    { input: { downloadDirectory: "/dl" }, option: "--download-directory" },
    { input: { pathMappings: [] }, option: "--path-mapping" },
    { input: { clear: ["path-mappings" as const] }, option: "--clear path-mappings" },
  ])("$option cannot be set on a registered entry, and can on one made by hand", (wrong) => {
    expect(() => edit(auto, wrong.input)).toThrow(UsageError);
    expect(() => edit(auto, wrong.input)).toThrow(
      `nas is registered, and ${wrong.option} is its service's own to say: change it there`,
    );
    expect(edit(manual, wrong.input).paths).toHaveLength(1);
  });

  test("of where files are is sent as the contract has it, and cleared by being absent", () => {
    const pathMappings = [{ clientPath: "/dl", managerPath: "/data" }];
    const set = edit(manual, { downloadDirectory: "/dl", pathMappings });
    expect(set.downloadClient).toMatchObject({ downloadDirectory: "/dl", pathMappings });
    expect(set.paths).toEqual(["download_directory", "path_mappings"]);
    expect(set.words).toEqual(["download-directory", "path-mappings"]);
    const bytes = toBinary(DownloadClientSchema, set.downloadClient);
    expect(fromBinary(DownloadClientSchema, bytes)).toMatchObject({ pathMappings });
    const cleared = edit(manual, { clear: ["download-directory", "path-mappings"] });
    expect(cleared.paths).toEqual(["download_directory", "path_mappings"]);
    expect(cleared.downloadClient).toMatchObject({ downloadDirectory: "", pathMappings: [] });
  });
});

describe("wrong usage", () => {
  test("nothing to change", () => {
    expect(() => checkEdit({ clear: [] })).toThrow("nothing to change");
    expect(() => checkEdit({ clear: ["tags"] })).not.toThrow();
  });

  test("a field that is given and cleared at once", () => {
    expect(() => checkEdit({ clear: ["url"], address })).toThrow("a new url or clear it, not both");
    expect(() => checkEdit({ clear: ["password"], password: "hunter2" })).toThrow(
      /^give a new password or clear it, not both$/,
    );
  });
});
