import { Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import type { Command } from "../../src/core/decision.js";
import { DomainError, type Refusal } from "../../src/core/errors.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import type { RegisterRequest } from "../../src/core/registration.js";
import type { Holding } from "../../src/core/service.js";
import { checkServiceSpec, type RawServiceSpec } from "../../src/core/service-spec.js";

/** A registry without a store: decides and applies, so that the rules can be tested alone. */
export class Decisions {
  readonly catalog = Catalog.load({
    revision: 0n,
    stamp: "",
    services: [],
    entries: [],
    tokens: [],
  });
  readonly commits: Commit[] = [];
  at = 1_000;
  registryNow = 0;
  /** Where leases stand in a store that is shared. */
  readonly holdings = new Map<string, Holding>();
  #ids = 0;

  run<Outcome>(command: Command<Outcome>): Outcome {
    const draft = this.catalog.draft();
    const { commit, outcome } = command({
      catalog: draft,
      revision: draft.revision + 1n,
      at: this.at,
      registryNow: this.registryNow,
      holdingOf: (serviceId) => this.holdings.get(serviceId),
      newId: () => `id-${++this.#ids}`,
      stableId: (text) => `id of ${text}`,
      newSecret: () => `secret-${++this.#ids}`,
    });
    if (commit) {
      const stamped = { ...commit, stamp: `stamp-${commit.revision}` };
      draft.apply(stamped);
      this.catalog.apply(stamped);
      this.commits.push(stamped);
    }
    return outcome;
  }

  /** The present entry of that name. */
  entry(name: string) {
    return [...this.catalog.entries()].find(({ entry }) => entry.name === name);
  }

  /** What the newest commit says of its changes. */
  changes(): string[] {
    const changes = this.commits.at(-1)?.changes ?? [];
    return changes.map(({ subject, type }) => `${subject} ${type}`);
  }

  entryNames(): string[] {
    return [...this.catalog.entries()].map(({ entry }) => entry.name).sort();
  }
}

/** The refusal of an action that must be refused. */
export function refusalOf(action: () => unknown): Refusal {
  try {
    action();
  } catch (error) {
    if (error instanceof DomainError) return error.refusal;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** A hash that shows what it is of. */
export function hashOf(secret: string): string {
  return `hash of ${secret}`;
}

/** A valid Register of a qBittorrent, with what the test changes. */
export function registerRequest(
  change: Partial<RegisterRequest> & { readonly raw?: Partial<RawServiceSpec> } = {},
): RegisterRequest {
  const { raw, ...rest } = change;
  return {
    spec: checkServiceSpec({
      name: "haul",
      type: "download-client",
      kind: "qbittorrent",
      apiUrl: "http://nas:8080",
      healthUrl: "",
      version: "4.5.2",
      capabilities: [],
      metadata: {},
      protocol: undefined,
      ...NO_FILE_PLACES,
      ...raw,
    }),
    instanceId: "instance-1",
    secretHash: "hash of secret 1",
    username: undefined,
    apiKey: undefined,
    credentialState: undefined,
    status: "online",
    statusReason: "",
    ttlMs: 15_000,
    heldLeaseId: "",
    tokenId: "token-1",
    isAttached: () => false,
    verifiedAt: (service) => service.verifiedAt,
    ...rest,
  };
}
