import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { updateEntry } from "../../src/core/entry-command.js";
import { DomainError } from "../../src/core/errors.js";
import { deregister, type RegisterRequest, register } from "../../src/core/registration.js";
import type { RawServiceSpec } from "../../src/core/service-spec.js";
import { Decisions, hashOf, refusalOf, registerRequest } from "../support/decisions.js";

type Change = Partial<RegisterRequest> & { readonly raw?: Partial<RawServiceSpec> };

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

const UNPINNED = { instanceId: "", secretHash: undefined };
const doRegister = (change: Change) =>
  decisions.run(register(registerRequest(change), hashOf, { maxServices: 100 })).service;

function setPassword(entryId: string, password: string | undefined) {
  const patch = { fields: {}, target: {}, overrides: { password } };
  const paths = ["overrides.password"];
  decisions.run(updateEntry({ id: entryId, etag: "", patch, paths, by: "op" }));
}

describe("credentials of an identity without a secret", () => {
  const stored = { username: "me", apiKey: "key", credentialState: "verified" } as const;

  it.each([
    ["another path", "http://nas:8080/other"],
    ["the same address, said otherwise", "HTTP://NAS:8080"],
  ])("are kept at %s", (_, apiUrl) => {
    doRegister({ ...UNPINNED, ...stored });
    expect(doRegister({ ...UNPINNED, raw: { apiUrl } })).toMatchObject(stored);
  });

  it.each([
    ["another host", "http://evil:8080"],
    ["another port", "http://nas:8081"],
    ["another scheme", "https://nas:8080"],
  ])("are cleared at %s, and nothing is said to be proven", (_, apiUrl) => {
    doRegister({ ...UNPINNED, ...stored });
    const moved = doRegister({ ...UNPINNED, raw: { apiUrl }, credentialState: "verified" });
    expect(moved).toMatchObject({ username: "", apiKey: "", credentialState: "unverified" });
    const back = doRegister(UNPINNED);
    expect(back).toMatchObject({ username: "", apiKey: "" });
  });

  it("are those that come with the new address", () => {
    doRegister({ ...UNPINNED, ...stored });
    const raw = { apiUrl: "http://new:8080" };
    const moved = doRegister({ ...UNPINNED, raw, apiKey: "new", credentialState: "verified" });
    expect(moved).toMatchObject({ username: "", apiKey: "new", credentialState: "verified" });
    expect(doRegister({ ...UNPINNED, raw })).toMatchObject({ apiKey: "new" });
  });

  it("are cleared when the identity gets a secret, since that may move from then on", () => {
    const { instanceId, leaseId } = doRegister({ ...UNPINNED, ...stored });
    const pinned = { instanceId, secretHash: "hash", heldLeaseId: leaseId };
    expect(doRegister(pinned)).toMatchObject({ username: "", apiKey: "" });
  });

  it("are not those of a pinned identity, which moves with all that it has", () => {
    doRegister(stored);
    expect(doRegister({ raw: { apiUrl: "https://elsewhere" } })).toMatchObject(stored);
  });
});

describe("a password that an operator has set", () => {
  const denied = { kind: "denied", reason: "PASSWORD_OF_OPERATOR" };
  const entryId = () => decisions.entry("haul")?.entry.id ?? "";

  it("is sent nowhere else for an identity without a secret: the move is refused", () => {
    doRegister(UNPINNED);
    setPassword(entryId(), "operator's");
    const { revision } = decisions.catalog;
    const moved = { ...UNPINNED, raw: { apiUrl: "http://evil:1" }, apiKey: "k" };
    expect(refusalOf(() => doRegister(moved))).toEqual(denied);
    expect(decisions.catalog.revision).toBe(revision);
    doRegister({ ...UNPINNED, raw: { version: "5" } });
    setPassword(entryId(), undefined);
    doRegister(moved);
  });

  it("is not taken along by giving the identity a secret, nor by a removal", () => {
    const { instanceId, leaseId } = doRegister(UNPINNED);
    setPassword(entryId(), "operator's");
    const pinned = { instanceId, secretHash: "hash", heldLeaseId: leaseId };
    expect(refusalOf(() => doRegister(pinned))).toEqual(denied);
    decisions.run(deregister({ instanceId, secretHash: undefined, isAdmin: false }));
    const moved = { ...UNPINNED, raw: { apiUrl: "http://evil:1" } };
    expect(refusalOf(() => doRegister(moved))).toEqual(denied);
  });

  it("stays where the operator has also set host and port", () => {
    doRegister(UNPINNED);
    const overrides = { host: "nas", port: 1, useSsl: false, password: "operator's" };
    const paths = Object.keys(overrides).map((field) => `overrides.${field}`);
    const patch = { fields: {}, target: {}, overrides };
    decisions.run(updateEntry({ id: entryId(), etag: "", patch, paths, by: "op" }));
    doRegister({ ...UNPINNED, raw: { apiUrl: "http://moved:9" } });
    expect(decisions.entry("haul")?.facts).toMatchObject({ host: "nas", password: "operator's" });
  });

  it("goes with a pinned identity, which has proven that it is the same", () => {
    doRegister({});
    setPassword(entryId(), "operator's");
    doRegister({ raw: { apiUrl: "http://moved:9" } });
    expect(decisions.entry("haul")?.facts).toMatchObject({ host: "moved" });
  });
});

// Whatever a stranger with scope `register` does, among what owners and operators do:
// nothing that they have set is ever handed out together with an address of his.
it("no credential of others is ever seen at a stranger's address", () => {
  const step = fc.record({
    who: fc.constantFrom("owner", "pinned owner", "stranger", "stranger", "stranger", "operator"),
    how: fc.constantFrom("by name", "by id", "by id and lease", "deregister"),
    host: fc.constantFrom("evil", "nas"),
    key: fc.constantFrom(undefined, "given"),
    which: fc.nat({ max: 5 }),
  });
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  const take = ({ who, how, host, key, which }: Step, strangersLeases: Map<string, string>) => {
    const services = [...decisions.catalog.services()];
    const some = services[which % Math.max(1, services.length)];
    const credentials = key ? { apiKey: `${who}'s key` } : {};
    switch (who) {
      case "owner":
        return doRegister({ ...UNPINNED, ...credentials });
      case "pinned owner":
        return doRegister({ ...credentials, raw: { name: "pinned" } });
      case "operator": {
        const entry = some && decisions.catalog.entryOf(some.id);
        // What he sets for a service that has a secret is that service's to take along.
        const isStrangers = some?.secretHash === "stranger's";
        const at = some?.spec.endpoint?.host;
        if (entry && at === "nas" && !isStrangers) setPassword(entry.id, key && "operator's key");
        return;
      }
    }
    const stranger = { ...credentials, raw: { apiUrl: `http://${host}:8080` } };
    const lease = some && strangersLeases.get(some.id);
    const secretHash = "stranger's";
    if (how === "deregister" && some) {
      const { instanceId } = some;
      return decisions.run(deregister({ instanceId, secretHash, isAdmin: false }));
    }
    const registered =
      how === "by name" || !some
        ? doRegister({ ...stranger, ...UNPINNED })
        : doRegister({
            ...stranger,
            instanceId: some.instanceId,
            secretHash,
            heldLeaseId: how === "by id" ? "" : (lease ?? ""),
          });
    strangersLeases.set(registered.id, registered.leaseId);
    return;
  };

  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      decisions = new Decisions();
      const strangersLeases = new Map<string, string>();
      for (const one of steps) {
        try {
          take(one, strangersLeases);
        } catch (error) {
          if (!(error instanceof DomainError)) throw error;
        }
        for (const { facts } of decisions.catalog.entries())
          if (facts.host === "evil") expect(["", "stranger's key"]).toContain(facts.password);
      }
    }),
    { numRuns: 2_000 },
  );
});
