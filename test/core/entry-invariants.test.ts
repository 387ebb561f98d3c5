import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AppliedChange, Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import type { Command } from "../../src/core/decision.js";
import {
  type EntryRecord,
  hasOwnLogin,
  isVisible,
  newOperatorFields,
  type ResolvedEntry,
} from "../../src/core/entry.js";
import {
  createEntry,
  deleteEntry,
  etagOf,
  noteTest,
  restoreEntry,
  updateEntry,
} from "../../src/core/entry-command.js";
import { DomainError } from "../../src/core/errors.js";
import { deregister, forget, register } from "../../src/core/registration.js";
import { transition } from "../../src/core/transition.js";
import { hashOf, registerRequest } from "../support/decisions.js";

// Random commands in random batches, as a registry decides them, and what must be
// so after each commit. fast-check prints the seed and the shortest sequence of a
// failure; fc.assert takes them as `seed` and `path`.

const TYPES = ["download-client", "download-client", "media-manager"] as const;
const NAMES = ["haul", "haul-2", "a", "b"] as const;
const STATUSES = ["online", "degraded", "offline"] as const;
const FORGET_AFTER_MS = 100;
const MAX_SERVICES = 4;

/** What a random command may ask the state for; its numbers choose. */
class World {
  catalog = emptyCatalog();
  readonly services = new Map<string, Commit["services"][number]>();
  readonly entries = new Map<string, EntryRecord>();
  /** Of all services and entries that ever were. */
  readonly serviceIds: string[] = [];
  readonly entryIds: string[] = [];
  readonly leaseIds: string[] = [];
  readonly etags = new Set<string>();
  at = 1_000;
  registryNow = 0;
  #ids = 0;

  newId(): string {
    return `id-${++this.#ids}`;
  }
  chosen(from: readonly string[], n: number): string {
    return from[n % Math.max(1, from.length)] ?? "nobody";
  }
}

function emptyCatalog(): Catalog {
  return Catalog.load({ revision: 0n, stamp: "", services: [], entries: [], tokens: [] });
}

/** By whom a command is given, and the command, made of the state that its batch begins with. */
interface Operation {
  readonly by: "operator" | "service";
  readonly restores?: true;
  readonly command: (world: World) => Command<unknown>;
}

const small = fc.nat({ max: 7 });
const secret = fc.constantFrom(undefined, "", "k1", "k2");

const registerOperation = fc
  .record({
    // The last: whoever that is, which pins an identity that was none.
    instance: fc.constantFrom("", "i1", "i2", "i3", "of some service"),
    which: small,
    type: fc.constantFrom(...TYPES),
    name: fc.constantFrom("haul", "a"),
    host: fc.constantFrom("nas", "router"),
    version: fc.constantFrom("1", "2"),
    username: secret,
    apiKey: secret,
    credentialState: fc.constantFrom(undefined, "verified" as const, "rejected" as const),
    status: fc.constantFrom(...STATUSES),
    verifiedAt: fc.constantFrom(undefined, 7, 8),
    attached: fc.boolean(),
  })
  .map(
    ({
      instance,
      which,
      type,
      name,
      host,
      version,
      attached,
      verifiedAt,
      ...fields
    }): Operation => ({
      by: "service",
      command(world) {
        const some = world.catalog.service(world.chosen(world.serviceIds, which));
        const instanceId = instance === "of some service" ? (some?.instanceId ?? "") : instance;
        const request = {
          ...fields,
          instanceId,
          secretHash: instanceId === "" ? undefined : `hash of ${instanceId}`,
          heldLeaseId: some?.leaseId ?? "",
          isAttached: () => attached,
          verifiedAt: () => verifiedAt,
          raw: { type, name, version, apiUrl: `http://${host}:1` },
        };
        return register(registerRequest(request), hashOf, { maxServices: MAX_SERVICES });
      },
    }),
  );

const goneOperation = fc.record({ which: small, forgets: fc.boolean() }).map(
  ({ which, forgets }): Operation => ({
    by: "service",
    command(world) {
      const id = world.chosen(world.serviceIds, which);
      if (forgets) return forget(id, FORGET_AFTER_MS);
      const instanceId = world.catalog.service(id)?.instanceId ?? "nobody";
      return deregister({ instanceId, secretHash: undefined, isAdmin: true });
    },
  }),
);

const transitionOperation = fc
  .record({
    which: fc.nat({ max: 30 }),
    status: fc.constantFrom(...STATUSES),
    saidOffline: fc.boolean(),
    statusReason: fc.constantFrom("", "disk full"),
    endsLease: fc.boolean(),
  })
  .map(
    ({ which, saidOffline, ...rest }): Operation => ({
      by: "service",
      command(world) {
        const leaseId = world.chosen(world.leaseIds, which);
        return transition({
          ...rest,
          saidOffline: saidOffline && rest.status === "offline" && !rest.endsLease,
          leaseId,
          serviceId: leaseId.split(".")[0] ?? "",
          presence: {
            lastSeenAt: world.at,
            leaseExpiresAt: world.registryNow,
            leaseCredited: false,
            // As in memory: that of the lease's own credentials, or newer.
            verifiedAt: world.catalog.service(leaseId.split(".")[0] ?? "")?.verifiedAt,
          },
          reason: "status reported",
        });
      },
    }),
  );

const target = fc.record({
  kind: fc.constantFrom("deluge", "sabnzbd", "mine"),
  protocol: fc.constantFrom(undefined, "torrent" as const, "usenet" as const),
  host: fc.constantFrom("x", "y"),
  port: fc.constant(1),
  useSsl: fc.boolean(),
  urlBase: fc.constant(""),
  username: fc.constantFrom("", "u"),
  password: fc.constantFrom("", "p"),
  downloadDirectory: fc.constantFrom("", "/dl"),
  pathMappings: fc.constantFrom([], [{ clientPath: "/dl", managerPath: "/data" }]),
});

const createOperation = fc.record({ name: fc.constantFrom(...NAMES), target }).map(
  ({ name, target: described }): Operation => ({
    by: "operator",
    command: () => createEntry({ fields: newOperatorFields(name), target: described }, "op"),
  }),
);

const updateOperation = fc
  .record({
    which: small,
    stale: fc.boolean(),
    fields: fc.record(
      {
        name: fc.constantFrom(...NAMES),
        enabled: fc.boolean(),
        priority: fc.constantFrom(1, 2),
        tags: fc.subarray(["x", "y"]),
        settings: fc.constantFrom({}, { a: 1 }),
      },
      { requiredKeys: [] },
    ),
    target: fc.record(
      { host: fc.constantFrom("x", "y"), kind: fc.constantFrom("deluge", "mine") },
      {
        requiredKeys: [],
      },
    ),
    overrides: fc.record(
      {
        host: fc.constantFrom(undefined, "o", "nas"),
        port: fc.constantFrom(undefined, 1, 2),
        username: fc.constantFrom(undefined, "", "u"),
        password: fc.constantFrom(undefined, "", "k1"),
      },
      { requiredKeys: [] },
    ),
  })
  .map(
    ({ which, stale, fields, ...access }): Operation => ({
      by: "operator",
      command(world) {
        const id = world.chosen(world.entryIds, which);
        const isAuto = world.catalog.entry(id)?.origin.source === "auto";
        const patch = {
          fields,
          target: isAuto ? {} : access.target,
          overrides: isAuto ? access.overrides : {},
        };
        const paths = [
          ...Object.keys({ ...fields, ...patch.target }),
          ...Object.keys(patch.overrides).map((field) => `overrides.${field}`),
        ];
        return updateEntry({ id, etag: stale ? "1-1" : "", patch, paths, by: "op" });
      },
    }),
  );

const entryOperation = fc
  .record({
    which: small,
    what: fc.constantFrom("delete", "restore", "test"),
    state: fc.constantFrom("verified" as const, "rejected" as const),
  })
  .map(
    ({ which, what, state }): Operation => ({
      by: "operator",
      ...(what === "restore" ? { restores: true } : {}),
      command(world) {
        const id = world.chosen(world.entryIds, which);
        if (what === "delete") return deleteEntry(id, "", "op");
        const tested = world.catalog.resolvedEntry(id);
        if (what === "restore" || !tested) return restoreEntry(id, "op");
        return noteTest(tested, state, "op");
      },
    }),
  );

const operation = fc.oneof(
  { weight: 4, arbitrary: registerOperation },
  { weight: 2, arbitrary: goneOperation },
  { weight: 2, arbitrary: transitionOperation },
  { weight: 2, arbitrary: createOperation },
  { weight: 4, arbitrary: updateOperation },
  { weight: 4, arbitrary: entryOperation },
);
const batches = fc.array(fc.array(operation, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 25,
  size: "max",
});

/** Decides a batch on a draft. A refusal concerns its own command alone. */
function decide(world: World, operations: readonly Operation[]) {
  const draft = world.catalog.draft();
  const decided: { readonly operation: Operation; readonly commit: Commit }[] = [];
  for (const operation of operations) {
    try {
      const { commit } = operation.command(world)({
        catalog: draft,
        revision: draft.revision + 1n,
        at: world.at,
        registryNow: world.registryNow,
        holdingOf: () => undefined,
        newId: () => world.newId(),
        stableId: (text) => `id of ${text}`,
        newSecret: () => world.newId(),
      });
      if (!commit) continue;
      const stamped = { ...commit, stamp: `stamp ${commit.revision}` };
      draft.apply(stamped);
      decided.push({ operation, commit: stamped });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
    }
  }
  return { draft, decided };
}

/** Keeps the records as a store does. */
function store(world: World, commit: Commit): void {
  for (const service of commit.services) {
    if (!world.services.has(service.id)) world.serviceIds.push(service.id);
    world.services.set(service.id, service);
    if (!world.leaseIds.includes(service.leaseId)) world.leaseIds.push(service.leaseId);
  }
  for (const entry of commit.entries) {
    if (!world.entries.has(entry.id)) world.entryIds.push(entry.id);
    world.entries.set(entry.id, entry);
  }
  for (const id of commit.removedEntryIds) world.entries.delete(id);
}

/** What managers see of all entries, with the etag of each. */
function seen(catalog: Catalog): Map<string, { readonly view: string; readonly etag: string }> {
  const all = [...catalog.entries()].map(
    (resolved) =>
      [resolved.entry.id, { view: viewOf(resolved), etag: etagOf(resolved.entry) }] as const,
  );
  return new Map(all);
}

/** All that a message of it is made of, but for when it was changed and the etag itself. */
function viewOf({ entry, service, facts }: ResolvedEntry): string {
  const { revision: _, updatedAt: __, credentialState: ___, verifiedAt: ____, ...rest } = entry;
  const { origin, ...fields } = rest;
  const overrides = origin.source === "auto" ? Object.entries(origin.overrides).sort() : [];
  return JSON.stringify([
    fields,
    origin.source,
    service?.id,
    overrides,
    Object.entries(facts).sort(),
  ]);
}

/** What no Register ever touches. */
function operatorHalf({ id, name, enabled, priority, category, directory, ...rest }: EntryRecord) {
  const { tags, settings, origin, deletedAt, createdAt } = rest;
  const fields = { id, name, enabled, priority, category, directory, tags, settings };
  return { ...fields, origin, deletedAt, createdAt };
}

/** A commit's changes of entries are just the differences that managers see. */
function checkChanges(
  world: World,
  { operation, commit }: { readonly operation: Operation; readonly commit: Commit },
  apply: () => readonly AppliedChange[],
): void {
  const before = seen(world.catalog);
  const changes = apply();
  const after = seen(world.catalog);
  const changed = new Map(
    commit.changes
      .filter(({ subject }) => subject === "download-client")
      .map((change) => [change.subjectId, change]),
  );
  for (const id of new Set([...before.keys(), ...after.keys(), ...changed.keys()])) {
    const [was, is, change] = [before.get(id), after.get(id), changed.get(id)];
    const differs = was?.view !== is?.view;
    if (differs) expect(change, "a difference without a change").toBeDefined();
    if (change) expect(change.type).toBe(is ? "put" : "delete");
    // What an operator does to a hidden entry is in the log, and nobody sees it.
    if (change && !differs)
      expect([operation.by, was, is]).toEqual(["operator", undefined, undefined]);
    if (!differs) expect(is?.etag).toBe(was?.etag);
    else if (is) {
      expect(world.etags.has(is.etag), "an etag of another state").toBe(false);
      world.etags.add(is.etag);
    }
  }
  for (const { subject, change, before: told, after: toldAfter } of changes) {
    if (subject !== "download-client") continue;
    const views = [told, toldAfter].map((resolved) => resolved && viewOf(resolved));
    expect(views).toEqual([before.get(change.subjectId)?.view, after.get(change.subjectId)?.view]);
  }
}

function checkOwnership(
  operation: Operation,
  before: ReadonlyMap<string, EntryRecord>,
  catalog: Catalog,
): void {
  for (const [id, entry] of before) {
    const now = catalog.entry(id);
    if (operation.by === "service") expect(now && operatorHalf(now)).toEqual(operatorHalf(entry));
    if (entry.deletedAt === undefined || operation.restores) continue;
    const resolved = catalog.resolvedEntry(id);
    expect(resolved && isVisible(resolved)).toBe(false);
  }
}

/** How managers log in to each entry, hidden ones too. */
function loginsOf({ catalog, entryIds }: World): Map<string, string> {
  return new Map(entryIds.map((id) => [id, loginOf(catalog.resolvedEntry(id))]));
}
function loginOf(resolved: ResolvedEntry | undefined): string {
  return JSON.stringify([resolved?.facts.username, resolved?.facts.password]);
}

/** Nothing is known of credentials that an operator has a part in and nobody has tried. */
function checkCredentials(catalog: Catalog, before: ReadonlyMap<string, string>): void {
  for (const [id, login] of before) {
    const resolved = catalog.resolvedEntry(id);
    if (resolved && hasOwnLogin(resolved.entry.origin) && loginOf(resolved) !== login)
      expect(resolved.facts.credentialState).toBe("unverified");
  }
}

/** Who is OFFLINE by its own word lives; and that credentials were accepted is said of them alone. */
function checkServices(world: World, { services, entries, reason }: Commit): void {
  for (const service of services) {
    const { saidOffline, status, leaseActive, removed, credentialState, verifiedAt } = service;
    if (saidOffline) expect([status, leaseActive, removed]).toEqual(["offline", true, false]);
    if (removed || credentialState === "rejected") expect(verifiedAt).toBeUndefined();
    const before = world.services.get(service.id);
    if (reason === "forgotten") expect(before?.saidOffline).toBe(false);
    const isOther = before?.username !== service.username || before.apiKey !== service.apiKey;
    const isSaidNow = credentialState === "verified" && verifiedAt === world.at;
    if (isOther && !isSaidNow) expect(verifiedAt).toBeUndefined();
  }
  for (const { credentialState, verifiedAt } of entries)
    expect(verifiedAt !== undefined).toBe(credentialState === "verified");
}

function checkNames({ entries, catalog }: World): void {
  const names = [...entries.values()].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const entry of entries.values()) expect(catalog.entryNamed(entry.name)?.id).toBe(entry.id);
}

type Ids = Pick<World, "serviceIds" | "entryIds">;

/** Those of a batch, too. */
function idsOf(world: World, decided: readonly { readonly commit: Commit }[]): Ids {
  const records = decided.map(({ commit }) => commit);
  const services = records.flatMap((commit) => commit.services.map(({ id }) => id));
  const entries = records.flatMap((commit) => commit.entries.map(({ id }) => id));
  return {
    serviceIds: [...new Set([...world.serviceIds, ...services])],
    entryIds: [...new Set([...world.entryIds, ...entries])],
  };
}

/** All that a catalog can be asked. */
function answers(catalog: Catalog, { serviceIds, entryIds }: Ids) {
  const names = [...NAMES, "haul-3", "a-2"];
  return {
    revision: catalog.revision,
    stamp: catalog.stamp,
    serviceCount: catalog.serviceCount,
    services: serviceIds.map((id) => catalog.service(id)),
    byInstance: ["i1", "i2", "i3"].map((id) => catalog.serviceByInstance(id)?.id),
    anonymous: TYPES.flatMap((type) => names.map((name) => catalog.anonymousService(type, name))),
    pinned: TYPES.flatMap((type) => names.map((name) => catalog.isPinnedPair(type, name))),
    entries: entryIds.map((id) => catalog.resolvedEntry(id)),
    entryOf: serviceIds.map((id) => catalog.entryOf(id)),
    named: names.map((name) => catalog.entryNamed(name)),
  };
}
const listed = (resolved: Iterable<ResolvedEntry>) =>
  [...resolved].map(({ entry }) => entry.id).sort();

describe("whatever is asked of a registry, in whatever batches", () => {
  it("entries and their changes hold together", () => {
    fc.assert(
      fc.property(batches, (sequence) => {
        const world = new World();
        for (const operations of sequence) {
          world.at += operations.length % 2; // several batches in one millisecond
          world.registryNow += 60;
          const { draft, decided } = decide(world, operations);
          const ids = idsOf(world, decided);
          const promised = answers(draft, ids); // before the base is changed below it
          for (const { operation, commit } of decided) {
            const before = new Map(world.entries);
            const logins = loginsOf(world);
            checkChanges(world, { operation, commit }, () => world.catalog.apply(commit));
            checkCredentials(world.catalog, logins);
            checkServices(world, commit);
            store(world, commit);
            checkOwnership(operation, before, world.catalog);
            checkNames(world);
          }
          const now = answers(world.catalog, ids);
          expect(promised).toEqual(now);
          const loaded = Catalog.load({
            revision: world.catalog.revision,
            stamp: world.catalog.stamp,
            services: [...world.services.values()],
            entries: [...world.entries.values()],
            tokens: [],
          });
          expect(answers(loaded, ids)).toEqual(now);
          expect(listed(loaded.entries())).toEqual(listed(world.catalog.entries()));
          expect(listed(loaded.hiddenEntries())).toEqual(listed(world.catalog.hiddenEntries()));
        }
      }),
      { numRuns: 150 },
    );
  });
});
