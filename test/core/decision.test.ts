import { beforeEach, describe, expect, it } from "vitest";
import { commitService } from "../../src/core/decision.js";
import type { Access } from "../../src/core/entry.js";
import { deleteEntry, noteTest, restoreEntry, updateEntry } from "../../src/core/entry-command.js";
import { register } from "../../src/core/registration.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { Decisions, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
let before: ServiceRecord;
beforeEach(() => {
  decisions = new Decisions();
  before = decisions.run(
    register(registerRequest(), (secret) => secret, { maxServices: 10 }),
  ).service;
});

/** Commits another state of the service, and returns what the change log says of it. */
function replace(change: Partial<ServiceRecord>) {
  decisions.at += 1_000;
  const old = before;
  decisions.run((context) => {
    before = { ...old, ...change };
    return { commit: commitService(context, old, before, "re-registered"), outcome: undefined };
  });
  return decisions.commits.at(-1)?.changes.map(({ subject, type }) => `${subject} ${type}`);
}
const entry = () => decisions.catalog.entryOf(before.id);

describe("the entry of a service that changes", () => {
  it.each<[string, Partial<ServiceRecord>]>([
    ["status", { status: "degraded" }],
    ["reason", { statusReason: "disk almost full" }],
    ["user", { username: "someone" }],
    ["key", { apiKey: "another" }],
    ["state of its credentials", { credentialState: "verified" }],
  ])("comes along with another %s", (_, change) => {
    expect(replace(change)).toEqual(["service put", "download-client put"]);
    expect(entry()).toMatchObject({ revision: 2n, createdAt: 1_000, updatedAt: 2_000 });
  });

  it.each<[string, Partial<ServiceRecord>]>([
    ["generation", { generation: 9n, leaseId: "another" }],
    ["sign of life", { lastSeenAt: 9, leaseExpiresAt: 9 }],
    ["TTL", { ttlMs: 60_000 }],
  ])("stays out of a commit in which managers see nothing: another %s", (_, change) => {
    expect(replace(change)).toEqual(["service put"]);
    expect(entry()).toMatchObject({ revision: 1n, updatedAt: 1_000 });
  });

  it("is deleted with it, once, and put when it is back even if it is the same", () => {
    expect(replace({ removed: true })).toEqual(["service delete", "download-client delete"]);
    expect(replace({ removed: true })).toEqual(["service delete"]);
    expect(decisions.entryNames()).toEqual([]);
    expect(entry()).toMatchObject({ revision: 2n });
    expect(replace({ removed: false })).toEqual(["service put", "download-client put"]);
    expect(decisions.entryNames()).toEqual(["haul"]);
    expect(entry()).toMatchObject({ revision: 4n });
  });

  it("is deleted while the service lives on as another type", () => {
    const spec = { ...before.spec, type: "media-manager" };
    expect(replace({ spec })).toEqual(["service put", "download-client delete"]);
  });
});

describe("the entry of a service that changes, with overrides", () => {
  /** What an operator puts in the place of the service's own. */
  function override(overrides: Partial<Access>) {
    const paths = Object.keys(overrides).map((field) => `overrides.${field}`);
    const patch = { fields: {}, target: {}, overrides };
    const id = entry()?.id ?? "";
    decisions.run(updateEntry({ id, etag: "", patch, paths, by: "op" }));
  }
  const resolved = () => {
    const found = decisions.catalog.resolvedEntry(entry()?.id ?? "");
    if (!found) throw new Error("no entry");
    return found;
  };
  const endpoint = { host: "elsewhere", port: 8080, useSsl: false, urlBase: "" };

  it("stays out of a commit that changes only what is overridden", () => {
    override({ host: "router", username: "op", password: "secret" });
    const { revision } = resolved().entry;
    expect(
      replace({
        spec: { ...before.spec, endpoint },
        username: "u",
        apiKey: "k",
        credentialState: "verified",
      }),
    ).toEqual(["service put"]);
    expect(resolved().entry.revision).toBe(revision);
    expect(resolved().facts).toMatchObject({
      host: "router",
      username: "op",
      password: "secret",
      credentialState: "unverified",
    });
  });

  it("comes along with what is not overridden", () => {
    override({ host: "router" });
    const spec = { ...before.spec, endpoint: { ...endpoint, port: 9090 } };
    expect(replace({ spec, apiKey: "k" })).toEqual(["service put", "download-client put"]);
    expect(resolved().facts).toMatchObject({ host: "router", port: 9090, password: "k" });
  });

  it("has credentials that nobody has tried once the service's half of them is another", () => {
    override({ username: "op" });
    decisions.run(noteTest(resolved(), "verified", "op"));
    replace({ generation: 9n });
    expect(resolved().facts.credentialState).toBe("verified");
    expect(replace({ apiKey: "another" })).toEqual(["service put", "download-client put"]);
    expect(resolved().facts).toMatchObject({ password: "another", credentialState: "unverified" });
  });

  it("has untried ones also if they changed while it was hidden", () => {
    override({ username: "op" });
    decisions.run(noteTest(resolved(), "verified", "op"));
    decisions.run(deleteEntry(resolved().entry.id, "", "op"));
    const { revision } = resolved().entry;
    expect(replace({ apiKey: "another" })).toEqual(["service put"]);
    expect(resolved().entry).toMatchObject({ revision, credentialState: "unverified" });
    decisions.run(restoreEntry(resolved().entry.id, "op"));
    expect(resolved().facts.credentialState).toBe("unverified");
  });
});

describe("the entry that an operator deleted", () => {
  it("is no change, whatever its service does", () => {
    decisions.run(deleteEntry(entry()?.id ?? "", "", "op"));
    const deleted = entry();
    expect(replace({ status: "offline", apiKey: "another" })).toEqual(["service put"]);
    expect(replace({ removed: true })).toEqual(["service delete"]);
    expect(replace({ removed: false, status: "online" })).toEqual(["service put"]);
    expect(entry()).toEqual(deleted);
    expect(decisions.entryNames()).toEqual([]);
  });
});

describe("what a change of a service came to", () => {
  const detail = () => decisions.commits.at(-1)?.changes[0]?.detail;

  it.each<[string, Partial<ServiceRecord>]>([
    ["degraded: disk full", { status: "degraded", statusReason: "disk full" }],
    ["offline", { status: "offline", statusReason: "" }],
    ["online", { statusReason: "re-registered" }], // the commit says that
    ["online: registered", {}],
  ])("is %j", (words, change) => {
    replace(change);
    expect(detail()).toBe(words);
  });

  it("is nothing more for its entry", () => {
    replace({ status: "degraded", statusReason: "disk full" });
    expect(decisions.commits.at(-1)?.changes[1]).toMatchObject({
      subject: "download-client",
      detail: "",
    });
  });
});
