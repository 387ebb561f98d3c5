import { beforeEach, describe, expect, it } from "vitest";
import {
  deregister,
  forget,
  isForgettable,
  type RegisterRequest,
  type RegistrationRules,
  register,
} from "../../src/core/registration.js";
import type { RawServiceSpec } from "../../src/core/service-spec.js";
import { transition } from "../../src/core/transition.js";
import { Decisions, hashOf, refusalOf, registerRequest } from "../support/decisions.js";

const MAX_SERVICES = 100;

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

type Change = Partial<RegisterRequest> & { readonly raw?: Partial<RawServiceSpec> };

function doRegister(
  change: Change = {},
  maxServices = MAX_SERVICES,
  rules: Partial<RegistrationRules> = {},
) {
  return decisions.run(register(registerRequest(change), hashOf, { maxServices, ...rules }));
}

/** An operator's edit, as a later commit would write it. */
function edit(name: string, change: object) {
  const found = decisions.entry(name);
  if (!found) throw new Error(`no entry ${name}`);
  decisions.catalog.apply({
    revision: decisions.catalog.revision + 1n,
    stamp: "edit",
    at: 0,
    reason: "registered",
    changes: [],
    services: [],
    entries: [{ ...found.entry, ...change }],
    removedEntryIds: [],
    tokens: [],
  });
}

describe("identity", () => {
  it("is the instance id: the same one again is one service with a higher generation", () => {
    const first = doRegister().service;
    const again = doRegister().service;
    expect(again.id).toBe(first.id);
    expect(again.generation).toBe(first.generation + 1n);
    expect(again.leaseId).not.toBe(first.leaseId);
    expect(decisions.catalog.serviceCount).toBe(1);
  });

  it("cannot be taken with another secret, nor without one, and nothing changes", () => {
    doRegister({ apiKey: "key" });
    const before = decisions.catalog.serviceByInstance("instance-1");
    for (const secretHash of ["hash of secret 2", undefined])
      expect(refusalOf(() => doRegister({ secretHash, apiKey: "stolen" }))).toEqual({
        kind: "denied",
        reason: "SECRET_MISMATCH",
      });
    expect(decisions.catalog.serviceByInstance("instance-1")).toBe(before);
    expect(decisions.commits).toHaveLength(1);
  });

  it("gets a secret from Pulse if it brings none, once", () => {
    const { newSecret, service } = doRegister({ secretHash: undefined });
    expect(newSecret).toBeDefined();
    expect(service.secretHash).toBe(`hash of ${newSecret}`);
    const again = doRegister({ secretHash: `hash of ${newSecret}` });
    expect(again.newSecret).toBeUndefined();
  });

  it("is (type, name) without an instance id", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    const first = doRegister(anonymous).service;
    expect(doRegister(anonymous).service.id).toBe(first.id);
    expect(doRegister({ ...anonymous, raw: { name: "other" } }).service.id).not.toBe(first.id);
  });

  it("by (type, name) is refused once a pinned instance has that pair", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    doRegister(anonymous);
    doRegister();
    expect(refusalOf(() => doRegister(anonymous))).toEqual({
      kind: "denied",
      reason: "IDENTITY_PINNED",
    });
  });

  it("by (type, name) is free again once the pinned instance has another name, or is gone", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    const pinned = doRegister().service;
    doRegister({ raw: { name: "renamed" } });
    expect(doRegister(anonymous).service.id).not.toBe(pinned.id);

    doRegister({ raw: { name: "third" } });
    const third = { ...anonymous, raw: { name: "third" } };
    expect(refusalOf(() => doRegister(third)).kind).toBe("denied");
    decisions.run(
      deregister({ instanceId: "instance-1", secretHash: "hash of secret 1", isAdmin: false }),
    );
    expect(doRegister(third).service.id).not.toBe(pinned.id);
  });

  it("by (type, name) never leads to an instance that was pinned since", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    const first = doRegister(anonymous).service;
    const pinned = { instanceId: first.instanceId, secretHash: "h", heldLeaseId: first.leaseId };
    doRegister({ ...pinned, raw: { name: "renamed" } });
    expect(doRegister(anonymous).service.id).not.toBe(first.id);
  });

  it("that Pulse has given cannot be pinned by who has only read it", () => {
    const anonymous = { instanceId: "", secretHash: undefined };
    const { instanceId, leaseId } = doRegister(anonymous).service;
    const pinning = { instanceId, secretHash: "hash" };
    const unproven = { kind: "denied", reason: "IDENTITY_UNPROVEN" };
    for (const heldLeaseId of ["", `${leaseId}x`])
      expect(refusalOf(() => doRegister({ ...pinning, heldLeaseId }))).toEqual(unproven);
    decisions.run(deregister({ instanceId, secretHash: undefined, isAdmin: false }));
    expect(refusalOf(() => doRegister(pinning))).toEqual(unproven);
    const owner = doRegister(anonymous).service;
    const pinned = doRegister({ ...pinning, heldLeaseId: owner.leaseId }).service;
    expect([pinned.id, pinned.secretHash]).toEqual([owner.id, "hash"]);
  });

  it("keeps its generation growing across a removal", () => {
    const { generation } = doRegister().service;
    decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));
    expect(doRegister().service.generation).toBeGreaterThan(generation);
  });
});

describe("credentials", () => {
  it("are kept if absent and cleared if empty", () => {
    doRegister({ username: "u", apiKey: "key" });
    expect(doRegister().service).toMatchObject({ username: "u", apiKey: "key" });
    expect(doRegister({ apiKey: "" }).service).toMatchObject({ username: "u", apiKey: "" });
  });

  it("are unverified when new, and keep their state while they stay the same", () => {
    expect(doRegister({ apiKey: "a" }).service.credentialState).toBe("unverified");
    expect(doRegister({ credentialState: "verified" }).service.credentialState).toBe("verified");
    expect(doRegister({ apiKey: "a" }).service.credentialState).toBe("verified");
    expect(doRegister({ apiKey: "b" }).service.credentialState).toBe("unverified");
  });

  it("were accepted when a Register says so, or as long ago as is known of the same", () => {
    decisions.at = 1_000;
    const verifiedAt = (request: Parameters<typeof doRegister>[0] = {}) =>
      doRegister(request).service.verifiedAt;
    expect(verifiedAt({ apiKey: "a" })).toBeUndefined();
    expect(verifiedAt({ credentialState: "verified" })).toBe(1_000);
    decisions.at = 2_000;
    expect(verifiedAt()).toBe(1_000);
    expect(verifiedAt({ verifiedAt: () => 1_500 })).toBe(1_500);
    expect(verifiedAt({ credentialState: "unverified" })).toBe(1_500);
    expect(verifiedAt({ credentialState: "verified", status: "offline" })).toBe(1_500);
    expect(verifiedAt({ apiKey: "b" })).toBeUndefined();
    expect(verifiedAt({ credentialState: "verified" })).toBe(2_000);
    expect(verifiedAt({ credentialState: "rejected" })).toBeUndefined();
  });

  it("are gone after a removal", () => {
    doRegister({ apiKey: "key" });
    decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));
    expect(decisions.catalog.serviceByInstance("instance-1")?.apiKey).toBe("");
    expect(doRegister().service.apiKey).toBe("");
  });
});

describe("the bound of registrations with one token", () => {
  const rules = { maxServicesPerToken: 2 };
  const own = (n: number, tokenId: string) => ({
    instanceId: `i${n}`,
    secretHash: `h${n}`,
    tokenId,
  });
  const full = {
    kind: "quota",
    reason: "TOO_MANY_SERVICES_OF_TOKEN",
    retryAfterMs: expect.any(Number),
  };

  it("refuses the next new one, and no other's", () => {
    for (const n of [1, 2]) doRegister(own(n, "a"), 10, rules);
    expect(refusalOf(() => doRegister(own(3, "a"), 10, rules))).toEqual(full);
    expect(decisions.catalog.servicesOfToken("a")).toBe(2);
    doRegister(own(3, "b"), 10, rules);
  });

  it("lets those that are there register again, whichever token they had", () => {
    for (const n of [1, 2]) doRegister(own(n, "a"), 10, rules);
    doRegister(own(3, "b"), 10, rules);
    doRegister(own(1, "a"), 10, rules);
    doRegister(own(3, "a"), 10, rules);
    expect(decisions.catalog.servicesOfToken("a")).toBe(3);
    expect(decisions.catalog.servicesOfToken("b")).toBe(0);
  });

  it("has room again when one is removed, and counts its return as new", () => {
    for (const n of [1, 2]) doRegister(own(n, "a"), 10, rules);
    decisions.run(deregister({ instanceId: "i1", secretHash: "h1", isAdmin: false }));
    doRegister(own(3, "a"), 10, rules);
    expect(refusalOf(() => doRegister(own(1, "a"), 10, rules))).toEqual(full);
  });
});

describe("a download-client entry", () => {
  it("is made for the type download-client, in the same commit", () => {
    doRegister();
    expect(decisions.entryNames()).toEqual(["haul"]);
    expect(decisions.commits[0]?.changes.map(({ subject, type }) => [subject, type])).toEqual([
      ["service", "put"],
      ["download-client", "put"],
    ]);
  });

  it("is made for no other type", () => {
    doRegister({ raw: { type: "media-manager" } });
    expect(decisions.entryNames()).toEqual([]);
  });

  it("has the same id in another registry, if the instance is the same, and no other", () => {
    const ids = (instanceId: string) => {
      doRegister({ instanceId, secretHash: instanceId });
      const service = decisions.catalog.serviceByInstance(instanceId);
      return [service?.id, decisions.catalog.entryOf(service?.id ?? "")?.id];
    };
    const [, before] = ids("one");
    decisions = new Decisions();
    const [, other] = ids("two");
    const [, after] = ids("one");
    expect(after).toBe(before);
    expect(other).not.toBe(before);
  });

  it("gets the next free number if its name is taken, and each keeps its own for ever", () => {
    for (const n of [1, 2, 3]) doRegister({ instanceId: `i${n}`, secretHash: `h${n}` });
    expect(decisions.entryNames()).toEqual(["haul", "haul-2", "haul-3"]);
    const second = decisions.catalog.serviceByInstance("i2");
    decisions.run(deregister({ instanceId: "i2", secretHash: "h2", isAdmin: false }));
    doRegister({ instanceId: "i4", secretHash: "h4" });
    doRegister({ instanceId: "i2", secretHash: "h2" });
    expect(decisions.entryNames()).toEqual(["haul", "haul-2", "haul-3", "haul-4"]);
    expect(decisions.entry("haul-2")?.service?.id).toBe(second?.id);
  });

  it("keeps its name when the service is renamed", () => {
    doRegister();
    doRegister({ raw: { name: "renamed" } });
    expect(decisions.entryNames()).toEqual(["haul"]);
  });

  it("keeps every operator-owned field through a re-register and a removal", () => {
    const operator = {
      name: "mine",
      enabled: false,
      priority: 1,
      category: "tv",
      directory: "/data",
      tags: ["fast"],
      settings: { a: 1 },
    };
    doRegister();
    const id = decisions.entry("haul")?.entry.id;
    edit("haul", operator);
    doRegister({ raw: { apiUrl: "https://elsewhere/x" }, apiKey: "new" });
    expect(decisions.entry("mine")?.entry).toMatchObject({ ...operator, id });
    expect(decisions.entry("mine")?.service).toMatchObject({ apiKey: "new" });
    decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));
    expect(decisions.entryNames()).toEqual([]);
    doRegister();
    expect(decisions.entry("mine")?.entry).toMatchObject({ ...operator, id });
  });

  it("is a change only if managers would see a difference", () => {
    doRegister();
    const { revision } = decisions.entry("haul")?.entry ?? {};
    doRegister();
    expect(decisions.entry("haul")?.entry.revision).toBe(revision);
    doRegister({ raw: { version: "5.1.0" } });
    expect(decisions.entry("haul")?.entry.revision).toBe(3n);
  });

  it("goes while the service is of another type, and comes back with it", () => {
    doRegister();
    doRegister({ raw: { type: "media-manager" } });
    expect(decisions.entryNames()).toEqual([]);
    doRegister();
    expect(decisions.entryNames()).toEqual(["haul"]);
  });
});

describe("deregister", () => {
  it("needs the pinned secret, unless an admin asks", () => {
    doRegister();
    const request = { instanceId: "instance-1", isAdmin: false };
    for (const secretHash of [undefined, "other"])
      expect(refusalOf(() => decisions.run(deregister({ ...request, secretHash }))).kind).toBe(
        "denied",
      );
    expect(decisions.entryNames()).toEqual(["haul"]);
    decisions.run(deregister({ ...request, secretHash: "hash of secret 1" }));
    expect(decisions.entryNames()).toEqual([]);
  });

  it("of what is not there changes nothing and says so", () => {
    const nothing = deregister({ instanceId: "nobody", secretHash: undefined, isAdmin: false });
    expect(decisions.run(nothing)).toEqual({ removed: false, revision: 0n });
    expect(decisions.commits).toEqual([]);
  });
});

describe("the reason of a Register", () => {
  const reason = () => decisions.commits.at(-1)?.reason;
  const always = { isAttached: () => true };
  const goodbye = (serviceId: string, leaseId: string) =>
    decisions.run(
      transition({
        serviceId,
        leaseId,
        presence: { lastSeenAt: 0, leaseExpiresAt: 0, leaseCredited: false, verifiedAt: undefined },
        status: "offline",
        statusReason: "goodbye",
        saidOffline: false,
        reason: "goodbye",
        endsLease: true,
      }),
    );

  it("is `registered` for what is new, also after a removal", () => {
    doRegister(always);
    expect(reason()).toBe("registered");
    decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));
    doRegister(always);
    expect(reason()).toBe("registered");
  });

  it("is `superseded` if the stream of a lease is open that the registrant does not hold", () => {
    const { leaseId } = doRegister().service;
    const asked: string[] = [];
    const isAttached = (id: string) => {
      asked.push(id);
      return true;
    };
    doRegister({ heldLeaseId: "another", isAttached });
    expect(reason()).toBe("superseded");
    expect(asked).toEqual([leaseId]);
    doRegister({ heldLeaseId: leaseId, isAttached }); // the one that lost, with its old lease
    expect(reason()).toBe("superseded");
  });

  it("asks with where the lease stands, in a store that is shared", () => {
    const { id, leaseId } = doRegister().service;
    const instants = { lapsesAt: 1, leaseExpiresAt: 1, lastSeenAt: 1 };
    decisions.holdings.set(id, { leaseId, nodeId: "another", ...instants });
    doRegister({ isAttached: (_, holding) => holding?.nodeId === "another" });
    expect(reason()).toBe("superseded");
  });

  it("is `re-registered` if nobody's stream is open: grpcurl, cron, a restart", () => {
    doRegister();
    doRegister({ isAttached: () => false });
    expect(reason()).toBe("re-registered");
  });

  it("is `re-registered` if the registrant holds that lease itself", () => {
    const { leaseId } = doRegister().service;
    doRegister({ ...always, heldLeaseId: leaseId });
    expect(reason()).toBe("re-registered");
  });

  it("is `re-registered` once the lease has ended, whoever holds it", () => {
    const { id, leaseId } = doRegister().service;
    goodbye(id, leaseId);
    doRegister(always);
    expect(reason()).toBe("re-registered");
  });
});

describe("forget", () => {
  const DAY_MS = 86_400_000;
  function lapse({ id, leaseId }: { readonly id: string; readonly leaseId: string }) {
    decisions.run(
      transition({
        serviceId: id,
        leaseId,
        presence: {
          lastSeenAt: 0,
          leaseExpiresAt: 15_000,
          leaseCredited: false,
          verifiedAt: undefined,
        },
        status: "offline",
        statusReason: "expired",
        saidOffline: false,
        reason: "expired",
        endsLease: true,
      }),
    );
  }
  const present = (id: string) => decisions.catalog.service(id)?.removed === false;

  it("removes what was OFFLINE for longer than that, in registry time", () => {
    const { service } = doRegister({ apiKey: "key" });
    lapse(service);
    decisions.registryNow = 15_000 + DAY_MS;
    expect(decisions.run(forget(service.id, DAY_MS))).toBe(false);
    decisions.registryNow++;
    expect(decisions.run(forget(service.id, DAY_MS))).toBe(true);
    expect(decisions.commits.at(-1)).toMatchObject({ reason: "forgotten" });
    expect(decisions.commits.at(-1)?.changes).toMatchObject([
      { subject: "service", type: "delete", detail: "offline" },
      { subject: "download-client", type: "delete" },
    ]);
    expect(decisions.catalog.service(service.id)).toMatchObject({
      removed: true,
      statusReason: "forgotten",
      apiKey: "",
      leaseActive: false,
      secretHash: "hash of secret 1",
    });
    expect([decisions.entryNames(), decisions.catalog.serviceCount]).toEqual([[], 0]);
  });

  it("keeps what the operator set for its return, and whose it is", () => {
    const { service } = doRegister();
    edit("haul", { name: "mine", priority: 1 });
    lapse(service);
    decisions.registryNow = 2 * DAY_MS;
    decisions.run(forget(service.id, DAY_MS));
    expect(refusalOf(() => doRegister({ secretHash: "other" })).kind).toBe("denied");
    expect(doRegister().service).toMatchObject({ id: service.id, generation: 2n });
    expect(decisions.entry("mine")?.entry.priority).toBe(1);
  });

  it("changes nothing of who came back meanwhile, is gone, or never was", () => {
    const { service } = doRegister();
    decisions.registryNow = 2 * DAY_MS;
    expect(decisions.run(forget(service.id, DAY_MS))).toBe(false); // not OFFLINE
    lapse(service);
    doRegister();
    expect(decisions.run(forget(service.id, DAY_MS))).toBe(false);
    decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));
    expect(decisions.run(forget(service.id, DAY_MS))).toBe(false);
    expect(decisions.run(forget("nobody", DAY_MS))).toBe(false);
    expect(present(service.id)).toBe(false);
    expect(decisions.commits.map(({ reason }) => reason)).not.toContain("forgotten");
  });

  it("is not due in the state of the one who is alive, however long its lease is over", () => {
    const { service } = doRegister();
    expect(isForgettable({ ...service, status: "degraded" }, 9 * DAY_MS, DAY_MS)).toBe(false);
    expect(isForgettable({ ...service, status: "offline" }, 9 * DAY_MS, DAY_MS)).toBe(true);
  });
});

describe("a status transition", () => {
  function move(leaseId: string, serviceId: string, isStillDue?: () => boolean) {
    return decisions.run(
      transition({
        serviceId,
        leaseId,
        presence: {
          lastSeenAt: 2_000,
          leaseExpiresAt: 17_000,
          leaseCredited: false,
          verifiedAt: undefined,
        },
        status: "offline",
        statusReason: "disconnected",
        saidOffline: false,
        reason: "disconnected",
        endsLease: false,
        ...(isStillDue ? { isStillDue } : {}),
      }),
    );
  }

  it("changes service and entry in one revision, with its reason", () => {
    const { service } = doRegister();
    expect(move(service.leaseId, service.id)).toBe(true);
    expect(decisions.commits.at(-1)).toMatchObject({ revision: 2n, reason: "disconnected" });
    expect(decisions.commits.at(-1)?.changes).toHaveLength(2);
    expect(decisions.entry("haul")?.service?.status).toBe("offline");
  });

  it("of an older generation loses", () => {
    const old = doRegister().service;
    doRegister();
    expect(move(old.leaseId, old.id)).toBe(false);
    expect(decisions.entry("haul")?.service?.status).toBe("online");
  });

  it("does not happen if a sign of life came first", () => {
    const { service } = doRegister();
    expect(move(service.leaseId, service.id, () => false)).toBe(false);
    expect(decisions.commits).toHaveLength(1);
  });
});

describe("a full registry", () => {
  it("refuses a new service, and serves those it has", () => {
    doRegister({}, 1);
    const other = { instanceId: "i2", secretHash: "h2" };
    expect(refusalOf(() => doRegister(other, 1))).toMatchObject({ kind: "quota" });
    expect(doRegister({}, 1).service.generation).toBe(2n);
  });
});
