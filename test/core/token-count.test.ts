import fc from "fast-check";
import { expect, it } from "vitest";
import { Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import { DomainError } from "../../src/core/errors.js";
import { deregister, forget, register } from "../../src/core/registration.js";
import { hashOf, registerRequest } from "../support/decisions.js";

const TOKENS = ["a", "b", "c"] as const;
const MAX_OF_TOKEN = 2;

const step = fc.record({
  what: fc.constantFrom("register", "register", "register", "by name", "deregister", "forget"),
  n: fc.nat({ max: 5 }),
  tokenId: fc.constantFrom(...TOKENS),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function commandOf({ what, n, tokenId }: Step, catalog: Catalog) {
  const identity = { instanceId: `i${n}`, secretHash: `h${n}` };
  switch (what) {
    case "deregister":
      return deregister({ ...identity, isAdmin: true });
    case "forget":
      return forget(catalog.serviceByInstance(identity.instanceId)?.id ?? "", -1);
    default: {
      const who =
        what === "by name"
          ? { instanceId: "", secretHash: undefined, raw: { name: `n${n}` } }
          : identity;
      const rules = { maxServices: 8, maxServicesPerToken: MAX_OF_TOKEN };
      return register(registerRequest({ ...who, tokenId }), hashOf, rules);
    }
  }
}

/** What a catalog counts, of all tokens. */
const counted = (catalog: Catalog) => TOKENS.map((token) => catalog.servicesOfToken(token));

/** The same, by looking at all that was ever committed. */
function recounted(services: ReadonlyMap<string, Commit["services"][number]>) {
  const present = [...services.values()].filter(({ removed }) => !removed);
  return TOKENS.map((token) => present.filter(({ tokenId }) => tokenId === token).length);
}

it("the services of each token are as many as a recount finds, in every draft and after it", () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }), (batches) => {
      const catalog = Catalog.load({
        revision: 0n,
        stamp: "",
        services: [],
        entries: [],
        tokens: [],
      });
      const services = new Map<string, Commit["services"][number]>();
      let ids = 0;
      for (const batch of batches) {
        const draft = catalog.draft();
        const commits: Commit[] = [];
        for (const one of batch) {
          const before = counted(draft);
          try {
            const { commit } = commandOf(
              one,
              draft,
            )({
              catalog: draft,
              revision: draft.revision + 1n,
              at: 0,
              registryNow: 0,
              holdingOf: () => undefined,
              newId: () => `id-${++ids}`,
              stableId: (text) => text,
              newSecret: () => `secret-${++ids}`,
            });
            if (!commit) continue;
            const stamped = { ...commit, stamp: "" };
            draft.apply(stamped);
            commits.push(stamped);
            for (const service of stamped.services) services.set(service.id, service);
          } catch (error) {
            if (!(error instanceof DomainError)) throw error;
            // Refused for want of room: then there was none.
            if (error.refusal.kind === "quota" && error.message.includes("token"))
              expect(before[TOKENS.indexOf(one.tokenId)]).toBeGreaterThanOrEqual(MAX_OF_TOKEN);
          }
          expect(counted(draft)).toEqual(recounted(services));
        }
        for (const commit of commits) catalog.apply(commit);
        expect(counted(catalog)).toEqual(recounted(services));
      }
      const { revision } = catalog;
      const stored = {
        revision,
        stamp: "",
        services: [...services.values()],
        entries: [],
        tokens: [],
      };
      expect(counted(Catalog.load(stored))).toEqual(recounted(services));
      catalog.replace({ ...stored, services: [] });
      expect(counted(catalog)).toEqual([0, 0, 0]);
      catalog.replace(stored);
      expect(counted(catalog)).toEqual(recounted(services));
    }),
  );
});
