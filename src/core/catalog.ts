import type { Commit } from "./change.js";
import type { EntryRecord } from "./entry.js";
import type { ServiceRecord } from "./service.js";
import type { TokenRecord } from "./token.js";

/**
 * All records of a registry, indexed. A catalog over a base reads through to it
 * and writes only into itself: a draft, in which the commands of one batch see
 * each other before any of them is durable.
 */
export class Catalog {
  readonly #base: Catalog | undefined;
  readonly #services = new Map<string, ServiceRecord>();
  readonly #serviceIdByInstance = new Map<string, string>();
  readonly #anonymousByPair = new Map<string, string>();
  /** How many pinned, present instances have a (type, name). */
  readonly #pinnedByPair = new Map<string, number>();
  readonly #entries = new Map<string, EntryRecord>();
  readonly #entryIdByService = new Map<string, string>();
  readonly #entryIdByName = new Map<string, string>();
  readonly #tokens = new Map<string, TokenRecord>();
  #revision: bigint;
  #stamp: string;
  #serviceCount: number;

  private constructor(base: Catalog | undefined, revision: bigint, stamp: string) {
    this.#base = base;
    this.#revision = revision;
    this.#stamp = stamp;
    this.#serviceCount = base ? base.#serviceCount : 0;
  }

  static load(stored: {
    readonly revision: bigint;
    readonly stamp: string;
    readonly services: readonly ServiceRecord[];
    readonly entries: readonly EntryRecord[];
    readonly tokens: readonly TokenRecord[];
  }): Catalog {
    const catalog = new Catalog(undefined, stored.revision, stored.stamp);
    catalog.#put(stored);
    return catalog;
  }

  draft(): Catalog {
    return new Catalog(this, this.#revision, this.#stamp);
  }

  apply(commit: Commit): void {
    this.#put(commit);
    this.#revision = commit.revision;
    this.#stamp = commit.stamp;
  }

  /** Revision of the newest commit, 0 before the first. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Its stamp, empty before the first. */
  get stamp(): string {
    return this.#stamp;
  }

  /** Services that are not removed. */
  get serviceCount(): number {
    return this.#serviceCount;
  }

  service(id: string): ServiceRecord | undefined {
    return this.#services.get(id) ?? this.#base?.service(id);
  }

  serviceByInstance(instanceId: string): ServiceRecord | undefined {
    const id = this.#serviceIdByInstance.get(instanceId);
    return id === undefined ? this.#base?.serviceByInstance(instanceId) : this.service(id);
  }

  /** The service whose identity is this (type, name). */
  anonymousService(type: string, name: string): ServiceRecord | undefined {
    const id = this.#anonymousByPair.get(pairKey(type, name));
    if (id === undefined) return this.#base?.anonymousService(type, name);
    const service = this.service(id);
    return service?.secretHash === undefined ? service : undefined; // it may have been pinned since
  }

  /** Whether a pinned instance has this (type, name) now. */
  isPinnedPair(type: string, name: string): boolean {
    return this.#pinnedCount(pairKey(type, name)) > 0;
  }

  entry(id: string): EntryRecord | undefined {
    return this.#entries.get(id) ?? this.#base?.entry(id);
  }

  entryOf(serviceId: string): EntryRecord | undefined {
    const id = this.#entryIdByService.get(serviceId);
    return id === undefined ? this.#base?.entryOf(serviceId) : this.entry(id);
  }

  /** Whether an entry has this name, or waits for its service's return with it. */
  isEntryNameTaken(name: string): boolean {
    return this.#entryIdByName.has(name) || this.#base?.isEntryNameTaken(name) === true;
  }

  token(id: string): TokenRecord | undefined {
    return this.#tokens.get(id) ?? this.#base?.token(id);
  }

  /** Present services, of the catalog itself: a draft is not listed. */
  *services(): Iterable<ServiceRecord> {
    for (const service of this.#services.values()) if (!service.removed) yield service;
  }

  /** Present entries, each with its service. */
  *entries(): Iterable<{ readonly entry: EntryRecord; readonly service: ServiceRecord }> {
    for (const entry of this.#entries.values()) {
      const service = entry.removed ? undefined : this.#services.get(entry.serviceId);
      if (service) yield { entry, service };
    }
  }

  tokens(): Iterable<TokenRecord> {
    return this.#tokens.values();
  }

  #put(records: {
    readonly services: readonly ServiceRecord[];
    readonly entries: readonly EntryRecord[];
    readonly tokens: readonly TokenRecord[];
  }): void {
    for (const service of records.services) this.#putService(service);
    for (const entry of records.entries) this.#putEntry(entry);
    for (const token of records.tokens) this.#tokens.set(token.id, token);
  }

  #putService(service: ServiceRecord): void {
    const before = this.service(service.id);
    if (before) this.#count(before, -1);
    this.#services.set(service.id, service);
    this.#count(service, 1);
    this.#serviceIdByInstance.set(service.instanceId, service.id);
    if (service.secretHash === undefined)
      this.#anonymousByPair.set(pairKey(service.spec.type, service.spec.name), service.id);
  }

  #count(service: ServiceRecord, by: 1 | -1): void {
    if (service.removed) return;
    this.#serviceCount += by;
    if (service.secretHash === undefined) return;
    const key = pairKey(service.spec.type, service.spec.name);
    const count = this.#pinnedCount(key) + by;
    if (count === 0 && !this.#base) this.#pinnedByPair.delete(key);
    else this.#pinnedByPair.set(key, count);
  }

  #pinnedCount(key: string): number {
    const base = this.#base;
    return this.#pinnedByPair.get(key) ?? (base ? base.#pinnedCount(key) : 0);
  }

  #putEntry(entry: EntryRecord): void {
    const before = this.entry(entry.id);
    if (before && before.name !== entry.name) this.#entryIdByName.delete(before.name);
    this.#entries.set(entry.id, entry);
    this.#entryIdByService.set(entry.serviceId, entry.id);
    this.#entryIdByName.set(entry.name, entry.id);
  }
}

/** The separator cannot occur in a type. */
function pairKey(type: string, name: string): string {
  return `${type} ${name}`;
}
