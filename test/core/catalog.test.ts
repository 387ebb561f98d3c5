import { beforeEach, describe, expect, it } from "vitest";
import { type AppliedChange, Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import type { Command } from "../../src/core/decision.js";
import { type EntryRecord, newOperatorFields } from "../../src/core/entry.js";
import {
  createEntry,
  deleteEntry,
  restoreEntry,
  updateEntry,
} from "../../src/core/entry-command.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { deregister, register } from "../../src/core/registration.js";
import { PLAIN_TOKEN } from "../../src/core/token.js";
import { createToken, revokeToken } from "../../src/core/token-command.js";
import { Decisions, hashOf, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

const creation = (name: string) =>
  createEntry(
    {
      fields: newOperatorFields(name),
      target: {
        kind: "deluge",
        protocol: undefined,
        host: "nas",
        port: 1,
        useSsl: false,
        urlBase: "",
        username: "",
        password: "",
        ...NO_FILE_PLACES,
      },
    },
    "op",
  );
const renaming = (id: string, name: string) =>
  updateEntry({
    id,
    etag: "",
    patch: { fields: { name }, target: {}, overrides: {} },
    paths: ["name"],
    by: "op",
  });
const removal = (id: string) => deleteEntry(id, "", "op");
const registration = (change = {}) =>
  register(registerRequest(change), hashOf, { maxServices: 100 });
const departure = deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true });
const create = (name: string) => decisions.run(creation(name)).resolved.entry.id;

/** Decides on a draft as a batch does, and keeps the commits. */
function draftOf(base: Catalog) {
  const draft = base.draft();
  const commits: Commit[] = [];
  let ids = 0;
  function run<Outcome>(command: Command<Outcome>): Outcome {
    const { commit, outcome } = command({
      catalog: draft,
      revision: draft.revision + 1n,
      at: 0,
      registryNow: 0,
      holdingOf: () => undefined,
      newId: () => `draft-${++ids}`,
      stableId: (text) => `id of ${text}`,
      newSecret: () => `draft-${++ids}`,
    });
    if (commit) {
      const stamped = { ...commit, stamp: `draft ${commit.revision}` };
      draft.apply(stamped);
      commits.push(stamped);
    }
    return outcome;
  }
  return { draft, commits, run };
}

describe("a draft", () => {
  it("shows the base and what was put into it, and leaves the base alone", () => {
    decisions.run(registration());
    const { draft, run } = draftOf(decisions.catalog);
    run(registration({ instanceId: "i2", secretHash: "h2" }));
    expect(draft.serviceByInstance("instance-1")).toBeDefined();
    expect(draft.serviceByInstance("i2")).toBeDefined();
    expect(draft.entryNamed("haul-2")).toBeDefined();
    expect([draft.revision, draft.serviceCount]).toEqual([2n, 2]);
    expect(decisions.catalog.serviceByInstance("i2")).toBeUndefined();
    expect(decisions.catalog.entryNamed("haul-2")).toBeUndefined();
    expect([decisions.catalog.revision, decisions.catalog.serviceCount]).toEqual([1n, 1]);
  });

  it("has a name free once its entry has another, and taken by the next who takes it", () => {
    const [a, b] = [create("a"), create("b")];
    const { draft, run } = draftOf(decisions.catalog);
    run(renaming(a, "c"));
    expect(draft.entryNamed("a")).toBeUndefined();
    expect(draft.entryNamed("c")?.id).toBe(a);
    run(renaming(b, "a"));
    expect(draft.entryNamed("a")?.id).toBe(b);
    run(renaming(a, "b"));
    expect(["a", "b", "c"].map((name) => draft.entryNamed(name)?.id)).toEqual([b, a, undefined]);
    expect(["a", "b", "c"].map((name) => decisions.catalog.entryNamed(name)?.id)).toEqual([
      a,
      b,
      undefined,
    ]);
  });

  it("no longer has what was removed in it, though the base has", () => {
    const id = create("a");
    const { draft, run } = draftOf(decisions.catalog);
    run(removal(id));
    expect(draft.entry(id)).toBeUndefined();
    expect(draft.resolvedEntry(id)).toBeUndefined();
    expect(draft.entryNamed("a")).toBeUndefined();
    expect(() => run(removal(id))).toThrow("there is no download client");
    const again = run(creation("a")).resolved.entry.id;
    expect(draft.entryNamed("a")?.id).toBe(again);
    run(removal(again)); // never was in the base
    expect(draft.entryNamed("a")).toBeUndefined();
    expect(decisions.catalog.entry(id)?.name).toBe("a");
  });

  it("has the name of a hidden entry taken", () => {
    decisions.run(registration());
    const { draft, run } = draftOf(decisions.catalog);
    run(removal(draft.entryNamed("haul")?.id ?? ""));
    expect(draft.entryNamed("haul")?.deletedAt).toBe(0);
    expect(() => run(creation("haul"))).toThrow("may be restored");
  });

  it("knows of an identity by (type, name) that it was pinned since", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    const { id, instanceId, leaseId } = decisions.run(registration(anonymous)).service;
    const { draft, run } = draftOf(decisions.catalog);
    const pinned = { instanceId, secretHash: "pinned", heldLeaseId: leaseId };
    run(registration({ ...pinned, raw: { name: "renamed" } }));
    expect(draft.anonymousService("download-client", "haul")).toBeUndefined();
    expect(run(registration(anonymous)).service.id).not.toBe(id);
    expect(draft.service(id)).toMatchObject({ secretHash: "pinned", generation: 2n });
  });

  it("leads the base to the same state, commit by commit", () => {
    const [a, b] = [create("a"), create("b")];
    const { draft, commits, run } = draftOf(decisions.catalog);
    run(removal(a));
    run(renaming(b, "a"));
    const c = run(creation("b")).resolved.entry.id;
    run(registration());
    run(removal(c));
    for (const commit of commits) decisions.catalog.apply(commit);
    for (const name of ["a", "b", "haul"])
      expect(decisions.catalog.entryNamed(name)).toEqual(draft.entryNamed(name));
    expect(decisions.entryNames()).toEqual(["a", "haul"]);
    expect(decisions.catalog.stamp).toBe(draft.stamp);
  });
});

describe("what watchers saw before a commit and see after it", () => {
  /** Of the newest commit, as a catalog on the way says it. */
  function applied<Outcome>(command: Command<Outcome>): readonly AppliedChange[] {
    const { records, catalog } = copyOf(decisions);
    decisions.run(command);
    const commit = decisions.commits.at(-1);
    if (!commit || records.revision === commit.revision) throw new Error("nothing was committed");
    return catalog.apply(commit);
  }
  const shown = (changes: readonly AppliedChange[]) =>
    changes.map(({ subject, before, after }) => [subject, !!before, !!after]);

  it("of a service and its entry", () => {
    const first = applied(registration());
    expect(shown(first)).toEqual([
      ["service", false, true],
      ["download-client", false, true],
    ]);
    const second = applied(registration({ raw: { version: "5.0.0" } }));
    expect(second).toMatchObject([
      { before: { spec: { version: "4.5.2" } }, after: { spec: { version: "5.0.0" } } },
      {
        before: { facts: { version: "4.5.2" }, entry: { revision: 1n } },
        after: { facts: { version: "5.0.0" }, entry: { revision: 2n } },
      },
    ]);
    expect(second.map(({ change }) => change)).toEqual(decisions.commits.at(-1)?.changes);
    expect(shown(applied(departure))).toEqual([
      ["service", true, false],
      ["download-client", true, false],
    ]);
    expect(shown(applied(registration()))).toEqual(shown(first));
  });

  it("of an entry that an operator hides and brings back", () => {
    decisions.run(registration());
    const id = decisions.entry("haul")?.entry.id ?? "";
    expect(shown(applied(removal(id)))).toEqual([["download-client", true, false]]);
    expect(shown(applied(registration({ apiKey: "other" })))).toEqual([["service", true, true]]);
    expect(shown(applied(restoreEntry(id, "op")))).toEqual([["download-client", false, true]]);
  });

  it("of an entry by hand", () => {
    const [made] = applied(creation("a"));
    expect(shown(made ? [made] : [])).toEqual([["download-client", false, true]]);
    const id = made?.change.subjectId ?? "";
    expect(applied(renaming(id, "b"))).toMatchObject([
      { before: { entry: { name: "a" } }, after: { entry: { name: "b" } } },
    ]);
    expect(shown(applied(removal(id)))).toEqual([["download-client", true, false]]);
  });

  it("of an entry that is edited while it is away: nothing", () => {
    decisions.run(registration());
    const id = decisions.entry("haul")?.entry.id ?? "";
    decisions.run(departure);
    expect(shown(applied(renaming(id, "b")))).toEqual([["download-client", false, false]]);
  });

  it("of a token", () => {
    const token = { id: "t", name: "pilot", scopes: [], hash: "h" };
    expect(applied(createToken(token))).toMatchObject([
      { subject: "token", before: undefined, after: { id: "t", revokedAt: undefined } },
    ]);
    expect(applied(revokeToken("t", "other"))).toMatchObject([
      { subject: "token", before: { revokedAt: undefined }, after: { revokedAt: 1_000 } },
    ]);
  });
});

describe("a catalog that is loaded", () => {
  it("is the one that was: names, hidden entries, identities and counts", () => {
    const b = create("b");
    decisions.run(renaming(create("a"), "c"));
    decisions.run(registration());
    decisions.run(registration({ instanceId: "i2", secretHash: "h2" }));
    decisions.run(removal(decisions.entry("haul-2")?.entry.id ?? ""));
    decisions.run(departure);
    decisions.run(removal(b));
    const { catalog } = copyOf(decisions);
    expect([...catalog.entries()].map(({ entry }) => entry.name)).toEqual(["c"]);
    expect([...catalog.hiddenEntries()].map(({ entry }) => entry.name).sort()).toEqual([
      "haul",
      "haul-2",
    ]);
    expect(["a", "b", "c", "haul", "haul-2"].map((name) => !!catalog.entryNamed(name))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(catalog.serviceCount).toBe(1);
    expect(catalog.serviceByInstance("instance-1")?.removed).toBe(true);
    expect(catalog.isPinnedPair("download-client", "haul")).toBe(true);
  });
});

describe("a catalog that is replaced", () => {
  it("is as if it had been loaded so, and nothing of before is left", () => {
    create("a");
    decisions.run(registration());
    const { records } = copyOf(decisions);
    const catalog = Catalog.load({
      ...records,
      revision: 9n,
      stamp: "other",
      services: records.services.map((service) => ({
        ...service,
        id: "gone",
        instanceId: "gone",
        spec: { ...service.spec, name: "gone" },
      })),
      entries: records.entries.map((entry) => ({
        ...entry,
        id: `gone ${entry.id}`,
        name: `gone ${entry.name}`,
      })),
      tokens: [{ ...PLAIN_TOKEN, id: "gone", name: "gone", scopes: [], hash: "", createdAt: 0 }],
    });
    catalog.replace(records);
    expect(catalog).toEqual(Catalog.load(records));
    expect(catalog.serviceCount).toBe(1);
    expect(catalog.entryNamed("gone a")).toBeUndefined();
    expect([catalog.service("gone"), catalog.token("gone")]).toEqual([undefined, undefined]);
    expect(catalog.isPinnedPair("download-client", "gone")).toBe(false);
  });
});

/** The records that the commits left, and a catalog of them. */
function copyOf({ commits, catalog: { revision, stamp } }: Decisions) {
  const all = <Item extends { readonly id: string }>(of: (commit: Commit) => readonly Item[]) => [
    ...new Map(commits.flatMap(of).map((record) => [record.id, record])).values(),
  ];
  const removed = new Set(commits.flatMap(({ removedEntryIds }) => removedEntryIds));
  const entries: readonly EntryRecord[] = all((commit) => commit.entries);
  const records = {
    revision,
    stamp,
    services: all((commit) => commit.services),
    entries: entries.filter(({ id }) => !removed.has(id)),
    tokens: all((commit) => commit.tokens),
  };
  return { records, catalog: Catalog.load(records) };
}
