import { beforeEach, describe, expect, it } from "vitest";
import type { Access, EntryOrigin, OperatorFields, Target } from "../../src/core/entry.js";
import { newOperatorFields } from "../../src/core/entry.js";
import {
  createEntry,
  deleteEntry,
  etagOf,
  type NewEntry,
  noteTest,
  restoreEntry,
  updateEntry,
} from "../../src/core/entry-command.js";
import type { EntryPatch } from "../../src/core/entry-patch.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { deregister, register } from "../../src/core/registration.js";
import { Decisions, hashOf, refusalOf, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

const TARGET: NewEntry["target"] = {
  kind: "sabnzbd",
  protocol: undefined,
  host: "nas",
  port: 8080,
  useSsl: false,
  urlBase: "",
  username: "",
  password: "key",
  ...NO_FILE_PLACES,
};

function create(name: string, target: Partial<NewEntry["target"]> = {}) {
  const request = { fields: newOperatorFields(name), target: { ...TARGET, ...target } };
  return decisions.run(createEntry(request, "op")).resolved.entry.id;
}

function registered(): string {
  decisions.run(
    register(registerRequest({ username: "u", apiKey: "k" }), hashOf, { maxServices: 100 }),
  );
  return decisions.entry("haul")?.entry.id ?? "";
}

const leave = () =>
  decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));

/** The path of a field in the contract. */
const pathOf = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

type Change = Partial<Omit<EntryPatch, "overrides">> & {
  readonly overrides?: EntryPatch["overrides"];
};

/** Updates what is given; its paths follow from that, unless they are given too. */
function update(id: string, change: Change, { etag = "", paths }: Partial<Request> = {}) {
  const { fields = {}, target = {}, overrides = {}, protocol } = change;
  const named = [
    ...Object.keys({ ...fields, ...target }).map(pathOf),
    ...Object.keys(overrides).map((field) => `overrides.${pathOf(field)}`),
    ...(protocol ? ["protocol"] : []),
  ];
  const patch = { fields, target, overrides, ...(protocol ? { protocol } : {}) };
  return decisions.run(updateEntry({ id, etag, patch, paths: paths ?? named, by: "op" }));
}
interface Request {
  readonly etag: string;
  readonly paths: readonly string[];
}

function entry(id: string) {
  const found = decisions.catalog.entry(id);
  if (!found) throw new Error(`no entry ${id}`);
  return found;
}
function facts(id: string) {
  return decisions.catalog.resolvedEntry(id)?.facts;
}
function targetOf({ origin }: { readonly origin: EntryOrigin }): Partial<Target> {
  return origin.source === "manual" ? origin.target : {};
}
function overridesOf({ origin }: { readonly origin: EntryOrigin }): Partial<Access> {
  return origin.source === "auto" ? origin.overrides : {};
}
const newest = () => decisions.commits.at(-1);
const detail = () => newest()?.changes[0]?.detail;

/** What must leave everything as it was. */
function expectUnchanged(action: () => unknown): void {
  const before = decisions.commits.length;
  action();
  expect(decisions.commits).toHaveLength(before);
}

describe("create", () => {
  it("makes an entry by hand, with the protocol of its kind", () => {
    const id = create("by hand");
    expect(entry(id)).toEqual({
      ...newOperatorFields("by hand"),
      id,
      origin: { source: "manual", target: { ...TARGET, protocol: "usenet" } },
      credentialState: "unverified",
      createdAt: 1_000,
      updatedAt: 1_000,
      revision: 1n,
      deletedAt: undefined,
    });
    expect(newest()).toMatchObject({ revision: 1n, reason: "created by op" });
    expect(newest()?.changes).toEqual([
      { subject: "download-client", subjectId: id, type: "put", detail: "" },
    ]);
  });

  it("needs a protocol for a kind that nobody knows", () => {
    const refusal = refusalOf(() => create("x", { kind: "mine" }));
    expect(refusal).toMatchObject({ violations: [{ field: "download_client.protocol" }] });
    expect(facts(create("x", { kind: "mine", protocol: "torrent" }))?.protocol).toBe("torrent");
  });

  it("refuses a protocol that is not the kind's", () =>
    expect(refusalOf(() => create("x", { protocol: "torrent" }))).toMatchObject({
      violations: [
        {
          field: "download_client.protocol",
          description: "must be usenet for kind sabnzbd; leave it out",
        },
      ],
    }));

  it("refuses a name that an entry has, and says why it cannot be had", () => {
    const id = registered();
    const taken = (description: string) => ({
      kind: "exists",
      reason: "NAME_TAKEN",
      violations: [{ field: "download_client.name", description }],
    });
    const refusal = () => refusalOf(() => create("haul"));
    expect(refusal()).toEqual(taken("is the name of another entry: choose another"));
    leave();
    expect(refusal()).toEqual(
      taken(
        "is kept for an entry that waits for its service, which is away or of another type now: choose another",
      ),
    );
    decisions.run(deleteEntry(id, "", "op"));
    expect(refusal()).toEqual(
      taken("is kept for an entry that was deleted and may be restored: choose another"),
    );
    expectUnchanged(refusal);
  });

  it("takes a name before a service does", () => {
    create("haul");
    decisions.run(register(registerRequest(), hashOf, { maxServices: 100 }));
    expect(decisions.entryNames()).toEqual(["haul", "haul-2"]);
  });
});

describe("update", () => {
  const ALL: Partial<OperatorFields> = {
    name: "new",
    enabled: false,
    priority: 1,
    category: "tv",
    directory: "/tv",
    tags: ["a"],
    settings: { a: { b: 1 } },
  };

  it.each(Object.entries(ALL))("changes %s of any entry, and nothing else", (field, value) => {
    for (const id of [create("by hand"), registered()]) {
      const before = entry(id);
      decisions.at++;
      const { resolved } = update(id, { fields: { [field]: value } });
      const { revision } = decisions.catalog;
      const after = { ...before, [field]: value, revision, updatedAt: decisions.at };
      expect(entry(id)).toEqual(after);
      expect(resolved.entry).toEqual(after);
      expect(newest()).toMatchObject({ reason: "edited by op", revision });
      expect(detail()).toBe(field);
      // Once more: so it is already.
      expectUnchanged(() => {
        const again = update(id, { fields: { [field]: value } });
        expect(again).toMatchObject({ revision, resolved: { entry: after } });
      });
      update(id, { fields: { name: `done ${id}` } });
    }
  });

  it("says which of the fields it was told have changed", () => {
    const id = create("by hand");
    update(id, { fields: { name: "by hand", priority: 7 }, target: { host: "x", port: 8080 } });
    expect(detail()).toBe("priority, host");
  });

  it("takes equal settings for equal", () => {
    const id = create("by hand");
    update(id, { fields: { settings: { a: [1, { b: null }] }, tags: ["a", "b"] } });
    expectUnchanged(() =>
      update(id, { fields: { settings: { a: [1, { b: null }] }, tags: ["a", "b"] } }),
    );
    update(id, { fields: { tags: ["b", "a"] } });
    expect(detail()).toBe("tags");
  });

  it("changes the settings of a key that objects have by nature", () => {
    const id = create("by hand");
    const settings = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2}');
    update(id, { fields: { settings } });
    expect(JSON.stringify(entry(id).settings)).toBe(JSON.stringify(settings));
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    update(id, { fields: { settings: {} } });
    expect(detail()).toBe("settings");
  });

  it("of nobody is NOT_FOUND", () =>
    expect(refusalOf(() => update("nobody", { fields: { priority: 1 } }))).toEqual({
      kind: "not-found",
      resource: "download client",
      id: "nobody",
    }));

  it("of a deleted entry is refused until it is restored", () => {
    const id = registered();
    decisions.run(deleteEntry(id, "", "op"));
    expectUnchanged(() =>
      expect(refusalOf(() => update(id, { fields: { priority: 1 } }))).toEqual({
        kind: "precondition",
        reason: "ENTRY_DELETED",
      }),
    );
    decisions.run(restoreEntry(id, "op"));
    expect(update(id, { fields: { priority: 1 } }).resolved.entry.priority).toBe(1);
  });

  it("of an entry whose service is away is kept for its return, and no put", () => {
    const id = registered();
    leave();
    update(id, { fields: { priority: 1 } });
    expect(decisions.changes()).toEqual(["download-client delete"]);
    registered();
    expect(decisions.entry("haul")?.entry.priority).toBe(1);
  });

  it("to a name that is taken changes nothing; to its own it may", () => {
    const id = create("a");
    create("b");
    expectUnchanged(() => {
      const refusal = refusalOf(() => update(id, { fields: { name: "b", priority: 1 } }));
      expect(refusal).toMatchObject({ kind: "exists", reason: "NAME_TAKEN" });
    });
    update(id, { fields: { name: "a", priority: 1 } });
    expect(entry(id)).toMatchObject({ name: "a", priority: 1 });
  });

  it("frees the old name", () => {
    update(create("a"), { fields: { name: "b" } });
    create("a");
    expect(decisions.entryNames()).toEqual(["a", "b"]);
  });
});

describe("an etag", () => {
  it("that is stale changes nothing, whatever was asked", () => {
    const id = registered();
    const stale = etagOf(entry(id));
    update(id, { fields: { priority: 1 } });
    expectUnchanged(() => {
      const refusals = [
        () => update(id, { fields: { priority: 1 } }, { etag: stale }), // it is so already
        () => update(id, { fields: { priority: 2 } }, { etag: stale }),
        () => update(id, { fields: { priority: 2 } }, { etag: "constructor" }),
        () => decisions.run(deleteEntry(id, stale, "op")),
      ].map((action) => refusalOf(action));
      for (const refusal of refusals)
        expect(refusal).toEqual({ kind: "conflict", reason: "ETAG_MISMATCH" });
    });
    update(id, { fields: { priority: 2 } }, { etag: etagOf(entry(id)) });
    decisions.run(deleteEntry(id, etagOf(entry(id)), "op"));
  });

  it("differs after each of two edits in one millisecond, there and back", () => {
    const id = create("a");
    const etags = [1, 50].map((priority) => {
      const was = etagOf(entry(id));
      update(id, { fields: { priority } }, { etag: was });
      return [was, etagOf(entry(id))];
    });
    expect(new Set(etags.flat()).size).toBe(3);
    expect(entry(id)).toMatchObject({ priority: 50, updatedAt: 1_000 });
  });

  it("differs after a change of the service, and stays if managers see none", () => {
    const id = registered();
    const first = etagOf(entry(id));
    registered();
    expect(etagOf(entry(id))).toBe(first);
    const mapped = () => {
      const pathMappings = [{ clientPath: "/downloads", managerPath: "/data" }];
      const request = registerRequest({ raw: { pathMappings } });
      decisions.run(register(request, hashOf, { maxServices: 100 }));
      return etagOf(entry(id));
    };
    const second = mapped();
    expect(second).not.toBe(first);
    expect(mapped()).toBe(second);
    decisions.run(register(registerRequest({ apiKey: "other" }), hashOf, { maxServices: 100 }));
    expect(etagOf(entry(id))).not.toBe(second);
  });

  it("differs between two histories that share a revision", () => {
    const id = create("a");
    expect(etagOf({ ...entry(id), updatedAt: 1_001 })).not.toBe(etagOf(entry(id)));
  });
});

describe("the service-owned fields of an AUTO entry", () => {
  const OVERRIDES: Access = {
    host: "router",
    port: 1,
    useSsl: true,
    urlBase: "/x",
    username: "op",
    password: "",
  };

  it.each(Object.entries(OVERRIDES))("can be overridden: %s", (field, value) => {
    const id = registered();
    const before = facts(id);
    update(id, { overrides: { [field]: value } });
    expect(overridesOf(entry(id))).toEqual({ [field]: value });
    expect(facts(id)).toEqual({ ...before, [field]: value });
    expect(detail()).toBe(`overrides.${pathOf(field)}`);
    expectUnchanged(() => update(id, { overrides: { [field]: value } }));
    update(id, { overrides: { [field]: undefined } });
    expect(overridesOf(entry(id))).toEqual({});
    expect(facts(id)).toEqual(before);
    expectUnchanged(() => update(id, { overrides: { [field]: undefined } }));
  });

  it("are overridden one beside the other", () => {
    const id = registered();
    update(id, { overrides: { host: "router", port: 1 } });
    update(id, { overrides: { port: 2 } });
    expect(overridesOf(entry(id))).toEqual({ host: "router", port: 2 });
    update(id, { overrides: { host: undefined } });
    expect(overridesOf(entry(id))).toEqual({ port: 2 });
  });

  it("are overridden by just these if all overrides are named", () => {
    const id = registered();
    update(id, { overrides: { host: "router", port: 1 } });
    const none = Object.fromEntries(Object.keys(OVERRIDES).map((field) => [field, undefined]));
    const paths = ["overrides"];
    update(id, { overrides: { ...none, host: "router" } }, { paths });
    expect([overridesOf(entry(id)), detail()]).toEqual([{ host: "router" }, "overrides"]);
    expectUnchanged(() => update(id, { overrides: { ...none, host: "router" } }, { paths }));
    update(id, { overrides: none }, { paths });
    expect(overridesOf(entry(id))).toEqual({});
  });

  it.each<[string, Change, string]>([
    ["host", { target: { host: "x" } }, "use overrides.host"],
    ["use_ssl", { target: { useSsl: true } }, "use overrides.use_ssl"],
    ["password", { target: { password: "x" } }, "use overrides.password"],
    ["kind", { target: { kind: "deluge" } }, "cannot be changed here"],
    ["protocol", { protocol: "known" }, "cannot be changed here"],
    ["download_directory", { target: { downloadDirectory: "/x" } }, "cannot be changed here"],
    ["path_mappings", { target: { pathMappings: [] } }, "cannot be changed here"],
  ])("cannot be set: %s", (path, change, words) => {
    const id = registered();
    expectUnchanged(() => {
      const refusal = refusalOf(() => update(id, { ...change, fields: { priority: 1 } }));
      expect(refusal).toMatchObject({
        kind: "invalid",
        violations: [{ field: "update_mask", description: expect.stringContaining(words) }],
      });
      expect(JSON.stringify(refusal)).toContain(`${path} of an AUTO entry`);
    });
  });

  it("are kept as the operator set them when the service registers again", () => {
    const id = registered();
    update(id, { overrides: { host: "router", password: "" } });
    const raw = { apiUrl: "https://elsewhere:1/x" };
    decisions.run(register(registerRequest({ raw, apiKey: "new" }), hashOf, { maxServices: 100 }));
    expect(facts(id)).toMatchObject({ host: "router", port: 1, useSsl: true, password: "" });
    update(id, { overrides: { host: undefined, password: undefined } });
    expect(facts(id)).toMatchObject({ host: "elsewhere", password: "new" });
  });
});

describe("the fields of a MANUAL entry", () => {
  it.each(
    Object.entries({
      host: "x",
      port: 1,
      useSsl: true,
      urlBase: "/x",
      username: "x",
      password: "",
    }),
  )("can be set: %s", (field, value) => {
    const id = create("a");
    const before = targetOf(entry(id));
    update(id, { target: { [field]: value } });
    expect(targetOf(entry(id))).toEqual({ ...before, [field]: value });
    expect(detail()).toBe(pathOf(field));
    expectUnchanged(() => update(id, { target: { [field]: value } }));
  });

  it.each([["overrides"], ["overrides.host"]])("cannot be overridden: %s", (path) => {
    const id = create("a");
    expectUnchanged(() => {
      const action = () => update(id, { overrides: { host: "x" } }, { paths: [path] });
      expect(refusalOf(action)).toMatchObject({
        kind: "invalid",
        violations: [
          { field: "update_mask", description: expect.stringContaining(`${path}: a MANUAL entry`) },
        ],
      });
    });
  });

  type Kind = Pick<NewEntry["target"], "kind" | "protocol">;
  const known = (kind: string): Kind => ({ kind, protocol: undefined });
  it.each<[string, Kind, Change, Partial<Target>]>([
    [
      "a known kind brings its protocol",
      known("sabnzbd"),
      { target: { kind: "deluge" } },
      { kind: "deluge", protocol: "torrent" },
    ],
    [
      "a known kind brings its protocol in the place of a stated one",
      { kind: "mine", protocol: "usenet" },
      { target: { kind: "deluge" } },
      { kind: "deluge", protocol: "torrent" },
    ],
    [
      "an unknown kind keeps the protocol that was",
      known("sabnzbd"),
      { target: { kind: "mine" } },
      { kind: "mine", protocol: "usenet" },
    ],
    [
      "an unknown kind may come with another",
      known("sabnzbd"),
      { target: { kind: "mine" }, protocol: "torrent" },
      { kind: "mine", protocol: "torrent" },
    ],
    [
      "the protocol of an unknown kind may change alone",
      { kind: "mine", protocol: "usenet" },
      { protocol: "torrent" },
      { kind: "mine", protocol: "torrent" },
    ],
    [
      "the protocol of a known kind may be left to it",
      known("sabnzbd"),
      { target: { kind: "deluge" }, protocol: "known" },
      { kind: "deluge", protocol: "torrent" },
    ],
  ])("%s", (_, before, change, after) => {
    const id = create("a", before);
    update(id, change);
    expect(targetOf(entry(id))).toMatchObject(after);
  });

  it.each<[string, Kind, Change]>([
    ["a protocol that is not the kind's", known("sabnzbd"), { protocol: "torrent" }],
    [
      "a new kind with the old one's protocol",
      known("sabnzbd"),
      { target: { kind: "deluge" }, protocol: "usenet" },
    ],
    [
      "no protocol for an unknown kind",
      { kind: "mine", protocol: "usenet" },
      { protocol: "known" },
    ],
  ])("are refused: %s", (_, before, change) => {
    const id = create("a", before);
    expectUnchanged(() =>
      expect(refusalOf(() => update(id, change))).toMatchObject({
        kind: "invalid",
        violations: [{ field: "download_client.protocol" }],
      }),
    );
  });
});

describe("delete", () => {
  it("removes a MANUAL entry for good, and frees its name", () => {
    const id = create("a");
    expect(decisions.run(deleteEntry(id, "", "op"))).toBe(2n);
    expect(newest()).toMatchObject({ reason: "deleted by op", removedEntryIds: [id], entries: [] });
    expect(newest()?.changes).toEqual([
      { subject: "download-client", subjectId: id, type: "delete", detail: "a" },
    ]);
    expect(decisions.catalog.entry(id)).toBeUndefined();
    expect(refusalOf(() => decisions.run(deleteEntry(id, "", "op")))).toMatchObject({
      kind: "not-found",
    });
    expect(refusalOf(() => decisions.run(restoreEntry(id, "op"))).kind).toBe("not-found");
    expect(create("a")).not.toBe(id);
  });

  it("hides an AUTO entry until it is restored, whatever its service does", () => {
    const id = registered();
    update(id, { fields: { priority: 1 }, overrides: { host: "router" } });
    decisions.at = 5_000;
    decisions.run(deleteEntry(id, "", "op"));
    expect(entry(id)).toMatchObject({ deletedAt: 5_000, updatedAt: 5_000, revision: 3n });
    expect(detail()).toBe("haul");
    registered();
    leave();
    registered();
    expect(decisions.entryNames()).toEqual([]);
    expect([...decisions.catalog.hiddenEntries()].map((resolved) => resolved.entry.id)).toEqual([
      id,
    ]);

    decisions.run(restoreEntry(id, "op"));
    expect(newest()).toMatchObject({ reason: "restored by op" });
    expect(decisions.changes()).toEqual(["download-client put"]);
    expect(decisions.entry("haul")?.entry).toMatchObject({
      id,
      priority: 1,
      deletedAt: undefined,
      revision: decisions.catalog.revision,
    });
    expect(facts(id)?.host).toBe("router");
    expect([...decisions.catalog.hiddenEntries()]).toEqual([]);
  });

  it("of what is deleted changes nothing, with whatever etag", () => {
    const id = registered();
    decisions.run(deleteEntry(id, "", "op"));
    expectUnchanged(() => expect(decisions.run(deleteEntry(id, "stale", "op"))).toBe(2n));
  });
});

describe("restore", () => {
  it("of what is there changes nothing", () => {
    const id = registered();
    expectUnchanged(() =>
      expect(decisions.run(restoreEntry(id, "op"))).toMatchObject({
        revision: 1n,
        resolved: { entry: { id } },
      }),
    );
  });

  it("of an entry whose service is away shows nothing before its return", () => {
    const id = registered();
    decisions.run(deleteEntry(id, "", "op"));
    leave();
    decisions.run(restoreEntry(id, "op"));
    expect(decisions.changes()).toEqual(["download-client delete"]);
    expect(decisions.entryNames()).toEqual([]);
    registered();
    expect(decisions.changes()).toEqual(["service put", "download-client put"]);
    expect(decisions.entryNames()).toEqual(["haul"]);
  });
});

describe("the state of an operator's credentials", () => {
  const resolved = (id: string) => {
    const found = decisions.catalog.resolvedEntry(id);
    if (!found) throw new Error(`no entry ${id}`);
    return found;
  };
  const note = (id: string, state: "verified" | "rejected" = "verified") =>
    decisions.run(noteTest(resolved(id), state, "tester"));

  it("is what a test has shown, once", () => {
    const id = create("a");
    expect(note(id).resolved.facts.credentialState).toBe("verified");
    expect(newest()).toMatchObject({ reason: "tested by tester" });
    expect(newest()?.changes).toEqual([
      { subject: "download-client", subjectId: id, type: "put", detail: "verified" },
    ]);
    expectUnchanged(() => expect(note(id).resolved.facts.credentialState).toBe("verified"));
    expect(note(id, "rejected").resolved.facts.credentialState).toBe("rejected");
  });

  it("is dated, until the credentials are refused or others", () => {
    const id = create("a");
    const verifiedAt = () => resolved(id).entry.verifiedAt;
    expect(verifiedAt()).toBeUndefined();
    decisions.at = 5_000;
    note(id);
    expect(verifiedAt()).toBe(5_000);
    decisions.at = 6_000;
    update(id, { fields: { category: "tv" } });
    expectUnchanged(() => note(id)); // the newest is kept in memory
    expect(verifiedAt()).toBe(5_000);
    update(id, { target: { password: "other" } });
    expect(verifiedAt()).toBeUndefined();
    note(id);
    expect(verifiedAt()).toBe(6_000);
    note(id, "rejected");
    expect(verifiedAt()).toBeUndefined();
  });

  it("is not noted of a service's own", () => {
    const id = registered();
    update(id, { overrides: { host: "router" } });
    expectUnchanged(() => note(id));
    update(id, { overrides: { username: "op" } });
    expect(note(id).resolved.facts.credentialState).toBe("verified");
  });

  it("is not noted if the entry has changed since the test began", () => {
    const id = create("a");
    const before = resolved(id);
    update(id, { target: { password: "other" } });
    expectUnchanged(() => decisions.run(noteTest(before, "verified", "op")));
    expect(facts(id)?.credentialState).toBe("unverified");
  });

  it("is not noted if the service below a hidden entry has changed since", () => {
    const id = registered();
    update(id, { overrides: { username: "op" } });
    decisions.run(deleteEntry(id, "", "op"));
    const before = resolved(id);
    decisions.run(register(registerRequest({ apiKey: "other" }), hashOf, { maxServices: 100 }));
    expectUnchanged(() => decisions.run(noteTest(before, "verified", "op")));
  });

  it("of an entry that is gone is NOT_FOUND", () => {
    const id = create("a");
    const before = resolved(id);
    decisions.run(deleteEntry(id, "", "op"));
    expect(refusalOf(() => decisions.run(noteTest(before, "verified", "op"))).kind).toBe(
      "not-found",
    );
  });

  it.each<[string, Change]>([
    ["user", { target: { username: "other" } }],
    ["password", { target: { password: "" } }],
    ["host", { target: { host: "x" } }],
    ["port", { target: { port: 1 } }],
    ["TLS", { target: { useSsl: true } }],
    ["URL base", { target: { urlBase: "/x" } }],
    ["kind", { target: { kind: "nzbget" } }],
  ])("is unknown again with another %s", (_, change) => {
    const id = create("a");
    note(id);
    update(id, change);
    expect(facts(id)?.credentialState).toBe("unverified");
  });

  it("stays with another name or the same password, and wherever files are", () => {
    const id = create("a");
    note(id);
    update(id, { fields: { name: "b" }, target: { password: "key" } });
    const pathMappings = [{ clientPath: "/downloads", managerPath: "/data" }];
    update(id, { target: { downloadDirectory: "/downloads", pathMappings } });
    expect(facts(id)).toMatchObject({ credentialState: "verified", pathMappings });
    expectUnchanged(() => update(id, { target: { pathMappings: structuredClone(pathMappings) } }));
  });

  it("is unknown again with another override, and is the service's own without one", () => {
    const id = registered();
    update(id, { overrides: { username: "op", password: "x" } });
    note(id);
    update(id, { overrides: { host: "router" } });
    expect(facts(id)?.credentialState).toBe("unverified");
    note(id);
    update(id, { overrides: { password: undefined } });
    expect(facts(id)?.credentialState).toBe("unverified");
    note(id);
    update(id, { overrides: { username: undefined } });
    decisions.run(
      register(registerRequest({ credentialState: "rejected" }), hashOf, { maxServices: 100 }),
    );
    expect(facts(id)?.credentialState).toBe("rejected");
    update(id, { overrides: { username: "op" } });
    expect(facts(id)?.credentialState).toBe("unverified");
  });
});
