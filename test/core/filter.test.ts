import { describe, expect, it } from "vitest";
import {
  checkEntryFilter,
  checkServiceFilter,
  type EntryFilter,
  type EntryTraits,
  matchesEntry,
  matchesService,
  type ServiceFilter,
  type ServiceTraits,
  traitsOfEntry,
  traitsOfService,
} from "../../src/core/filter.js";
import { register } from "../../src/core/registration.js";
import { Decisions, hashOf, registerRequest } from "../support/decisions.js";

const decisions = new Decisions();
const { service } = decisions.run(
  register(registerRequest({ raw: { capabilities: ["torrent", "labels"] } }), hashOf, {
    maxServices: 1,
  }),
);

describe("a filter of services", () => {
  const any: ServiceFilter = { type: "", capabilities: [], statuses: [] };
  const traits: ServiceTraits = traitsOfService(service);

  it("looks at type, capabilities and status", () =>
    expect(traits).toEqual({
      type: "download-client",
      capabilities: ["torrent", "labels"],
      status: "online",
    }));

  it.each<[boolean, Partial<ServiceFilter>]>([
    [true, {}],
    [true, { type: "download-client" }],
    [false, { type: "download" }],
    [true, { capabilities: ["labels"] }],
    [true, { capabilities: ["labels", "torrent"] }],
    [false, { capabilities: ["labels", "usenet"] }], // all of them
    [true, { statuses: ["offline", "online"] }], // any of them
    [false, { statuses: ["offline", "degraded"] }],
    [false, { type: "download-client", statuses: ["offline"] }],
  ])("is %s for %j", (matches, filter) =>
    expect(matchesService({ ...any, ...filter }, traits)).toBe(matches),
  );
});

describe("a filter of entries", () => {
  const any: EntryFilter = {
    protocol: undefined,
    kinds: [],
    availabilities: [],
    credentialStates: [],
    enabled: undefined,
  };
  const [resolved] = [...decisions.catalog.entries()];
  if (!resolved) throw new Error("no entry");
  const traits: EntryTraits = traitsOfEntry(resolved);

  it("looks at protocol, kind, availability, credentials and whether it is enabled", () =>
    expect(traits).toEqual({
      protocol: "torrent",
      kind: "qbittorrent",
      availability: "online",
      credentialState: "unverified",
      enabled: true,
    }));

  it.each<[boolean, Partial<EntryFilter>]>([
    [true, {}],
    [true, { protocol: "torrent" }],
    [false, { protocol: "usenet" }],
    [true, { kinds: ["deluge", "qbittorrent"] }],
    [false, { kinds: ["deluge"] }],
    [false, { kinds: ["qbit"] }],
    [true, { availabilities: ["online"] }],
    [false, { availabilities: ["offline", "degraded"] }],
    [true, { credentialStates: ["verified", "unverified"] }],
    [false, { credentialStates: ["verified", "rejected"] }],
    [false, { availabilities: ["online"], credentialStates: ["rejected"] }],
    [true, { enabled: true }],
    [false, { enabled: false }],
    [false, { protocol: "torrent", kinds: ["qbittorrent"], enabled: false }],
  ])("is %s for %j", (matches, filter) =>
    expect(matchesEntry({ ...any, ...filter }, traits)).toBe(matches),
  );

  it("tells a disabled one from an enabled one", () => {
    const disabled = { ...traits, enabled: false };
    expect(matchesEntry({ ...any, enabled: false }, disabled)).toBe(true);
    expect(matchesEntry({ ...any, enabled: true }, disabled)).toBe(false);
  });
});

describe("a filter that can never match is refused, by the name of its field", () => {
  const entries: EntryFilter = {
    protocol: undefined,
    kinds: [],
    availabilities: [],
    credentialStates: [],
    enabled: undefined,
  };
  const services: ServiceFilter = { type: "", capabilities: [], statuses: [] };
  const many = Array.from({ length: 65 }, (_, i) => `kind-${i}`);

  it.each<[string, Partial<EntryFilter>]>([
    ["kinds[1]: must be lower-case", { kinds: ["aria2", "BAD KIND"] }],
    ["kinds[0]: is required", { kinds: [""] }],
    ["kinds: must have at most 64 items", { kinds: many }],
    [
      "credential_states: must have at most 64 items",
      { credentialStates: Array.from({ length: 65 }, () => "verified" as const) },
    ],
    ["kinds: has no kind whose protocol is usenet", { kinds: ["aria2"], protocol: "usenet" }],
  ])("%s", (message, change) => {
    expect(() => checkEntryFilter({ ...entries, ...change })).toThrow(message);
  });

  it.each<[string, Partial<ServiceFilter>]>([
    ["type: must be lower-case", { type: "BAD TYPE" }],
    ["capabilities[0]: must be lower-case", { capabilities: ["BAD CAP"] }],
    ["capabilities: must have at most 64 items", { capabilities: many }],
  ])("%s", (message, change) => {
    expect(() => checkServiceFilter({ ...services, ...change })).toThrow(message);
  });

  it("one that may match some day is none of these", () => {
    const kinds = ["aria2", "sabnzbd", "unheard-of", ...many.slice(4)];
    expect(() => checkEntryFilter({ ...entries, kinds, protocol: "usenet" })).not.toThrow();
    expect(() => checkServiceFilter({ ...services, type: "unheard-of" })).not.toThrow();
  });
});
