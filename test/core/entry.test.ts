import { describe, expect, it } from "vitest";
import {
  type EntryRecord,
  factsDiffer,
  freeEntryName,
  hasOwnLogin,
  isVisible,
  newOperatorFields,
  type ResolvedEntry,
  resolveEntry,
} from "../../src/core/entry.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { register } from "../../src/core/registration.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { Decisions, hashOf, registerRequest } from "../support/decisions.js";

function service(change: Partial<ServiceRecord> = {}): ServiceRecord {
  const pathMappings = [{ clientPath: "/downloads", managerPath: "/data" }];
  const request = registerRequest({
    ...({ username: "u", apiKey: "k", credentialState: "verified" } as const),
    raw: { downloadDirectory: "/downloads", pathMappings },
  });
  return {
    ...new Decisions().run(register(request, hashOf, { maxServices: 1 })).service,
    ...change,
  };
}

function entry(change: Partial<EntryRecord> = {}): EntryRecord {
  return {
    ...newOperatorFields("haul"),
    id: "e",
    origin: { source: "auto", serviceId: "s", overrides: {} },
    credentialState: "rejected",
    verifiedAt: undefined,
    createdAt: 0,
    updatedAt: 0,
    revision: 1n,
    deletedAt: undefined,
    ...change,
  };
}
const overridden = (overrides: object) =>
  entry({ origin: { source: "auto", serviceId: "s", overrides } });
const manual = entry({
  origin: {
    source: "manual",
    target: {
      kind: "deluge",
      protocol: "torrent",
      host: "h",
      port: 1,
      useSsl: true,
      urlBase: "/x",
      username: "",
      password: "p",
      ...NO_FILE_PLACES,
    },
  },
});

function resolve(record: EntryRecord, of?: ServiceRecord): ResolvedEntry {
  const resolved = resolveEntry(record, of);
  if (!resolved) throw new Error("nothing to be seen");
  return resolved;
}

describe("the name of a new entry", () => {
  it("is the service's, or has the lowest free number from 2 on", () => {
    const taken = new Set(["haul", "haul-2", "haul-4", "solo-2"]);
    const isTaken = (name: string) => taken.has(name);
    expect(freeEntryName("free", isTaken)).toBe("free");
    expect(freeEntryName("solo", isTaken)).toBe("solo");
    expect(freeEntryName("haul", isTaken)).toBe("haul-3");
  });

  it("is never longer than a name may be", () => {
    const long = "x".repeat(128);
    expect(freeEntryName(long, (name) => name === long)).toBe(`${"x".repeat(126)}-2`);
    const emoji = "😀".repeat(128);
    expect(freeEntryName(emoji, (name) => name === emoji)).toBe(`${"😀".repeat(126)}-2`);
    const fits = "😀".repeat(126);
    expect(freeEntryName(fits, (name) => name === fits)).toBe(`${fits}-2`);
  });
});

describe("what managers see of an entry", () => {
  it("is what its service says", () => {
    expect(resolve(entry(), service()).facts).toEqual({
      kind: "qbittorrent",
      protocol: "torrent",
      host: "nas",
      port: 8080,
      useSsl: false,
      urlBase: "",
      username: "u",
      password: "k",
      version: "4.5.2",
      availability: "online",
      availabilityReason: "registered",
      credentialState: "verified",
      downloadDirectory: "/downloads",
      pathMappings: [{ clientPath: "/downloads", managerPath: "/data" }],
    });
  });

  it("is the override where there is one, be it to nothing", () => {
    const record = overridden({ host: "router", useSsl: true, password: "" });
    expect(resolve(record, service()).facts).toMatchObject({
      host: "router",
      port: 8080,
      useSsl: true,
      username: "u",
      password: "",
      credentialState: "rejected", // of the operator's credentials
    });
  });

  it("has the service's credential state if no credentials are overridden", () => {
    expect(resolve(overridden({ host: "router" }), service()).facts.credentialState).toBe(
      "verified",
    );
  });

  it("is all the operator's own in one made by hand, and taken for usable", () => {
    expect(resolve(manual).facts).toMatchObject({
      kind: "deluge",
      host: "h",
      password: "p",
      version: "",
      availability: "online",
      availabilityReason: "made by hand, not watched",
      credentialState: "rejected",
    });
  });

  it("is nothing without a service", () => {
    expect(resolveEntry(entry(), undefined)).toBeUndefined();
  });
});

describe("an entry", () => {
  it.each<[string, boolean, ResolvedEntry]>([
    ["of a service that is there", true, resolve(entry(), service())],
    ["of one that is OFFLINE", true, resolve(entry(), service({ status: "offline" }))],
    ["of one that is removed", false, resolve(entry(), service({ removed: true }))],
    [
      "of one that is of another type now",
      false,
      resolve(entry(), service({ spec: { ...service().spec, type: "media-manager" } })),
    ],
    ["that an operator deleted", false, resolve(entry({ deletedAt: 0 }), service())],
    ["made by hand", true, resolve(manual)],
  ])("%s: visible is %s", (_, visible, resolved) => expect(isVisible(resolved)).toBe(visible));

  it.each<[string, boolean, EntryRecord]>([
    ["made by hand", true, manual],
    ["without overrides", false, entry()],
    ["with another address", false, overridden({ host: "x" })],
    ["with another user", true, overridden({ username: "x" })],
    ["with no password", true, overridden({ password: "" })],
  ])("%s: has a login of its own is %s", (_, own, { origin }) =>
    expect(hasOwnLogin(origin)).toBe(own),
  );
});

it("facts differ if any of them does", () => {
  const { facts } = resolve(entry(), service());
  expect(factsDiffer(facts, { ...facts })).toBe(false);
  for (const key of Object.keys(facts))
    expect(factsDiffer(facts, { ...facts, [key]: "another" })).toBe(true);
  expect(factsDiffer(facts, structuredClone(facts))).toBe(false);
  const [mapping] = facts.pathMappings;
  if (!mapping) throw new Error("no mapping");
  for (const pathMappings of [[], [mapping, mapping], [{ ...mapping, managerPath: "/other" }]])
    expect(factsDiffer(facts, { ...facts, pathMappings })).toBe(true);
});
