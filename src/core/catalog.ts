import type { Change, Commit } from "./change.js";
import {
  type EntryRecord,
  isVisible,
  type ResolvedEntry,
  resolveEntry,
  serviceIdOf,
} from "./entry.js";
import type { ServiceRecord } from "./service.js";
import type { TokenRecord } from "./token.js";

/** A change of a commit, with what watchers saw before it and see after it; undefined: nothing. */
export type AppliedChange =
  | Applied<"service", ServiceRecord>
  | Applied<"download-client", ResolvedEntry>
  | Applied<"token", TokenRecord>;

interface Applied<Subject extends Change["subject"], Item> {
  readonly subject: Subject;
  readonly change: Change;
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

type Records = Pick<Commit, "services" | "entries" | "tokens"> &
  Partial<Pick<Commit, "removedEntryIds">>;

/** What a catalog begins with: all records at one revision. */
export interface StoredCatalog {
  readonly revision: bigint;
  readonly stamp: string;
  readonly services: readonly ServiceRecord[];
  readonly entries: readonly EntryRecord[];
  readonly tokens: readonly TokenRecord[];
}

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
  /** How many present services registered last with a token. */
  readonly #countByToken = new Map<string, number>();
  /** In a draft, null: the base has it, and it is gone. Also of names. */
  readonly #entries = new Map<string, EntryRecord | null>();
  readonly #entryIdByService = new Map<string, string>();
  readonly #entryIdByName = new Map<string, string | null>();
  readonly #tokens = new Map<string, TokenRecord>();
  /** Of instances that have tokens of their own. */
  readonly #tokenIdsByInstance = new Map<string, readonly string[]>();
  #revision: bigint;
  #stamp: string;
  #serviceCount: number;

  private constructor(base: Catalog | undefined, revision: bigint, stamp: string) {
    this.#base = base;
    this.#revision = revision;
    this.#stamp = stamp;
    this.#serviceCount = base ? base.#serviceCount : 0;
  }

  static load(stored: StoredCatalog): Catalog {
    const catalog = new Catalog(undefined, stored.revision, stored.stamp);
    catalog.#put(stored);
    return catalog;
  }

  /** Forgets all and begins anew with this; not of a draft. */
  replace(stored: StoredCatalog): void {
    for (const index of [
      this.#services,
      this.#serviceIdByInstance,
      this.#anonymousByPair,
      this.#pinnedByPair,
      this.#countByToken,
      this.#entries,
      this.#entryIdByService,
      this.#entryIdByName,
      this.#tokens,
      this.#tokenIdsByInstance,
    ])
      index.clear();
    this.#serviceCount = 0;
    this.#revision = stored.revision;
    this.#stamp = stored.stamp;
    this.#put(stored);
  }

  draft(): Catalog {
    return new Catalog(this, this.#revision, this.#stamp);
  }

  apply(commit: Commit): readonly AppliedChange[] {
    const before = commit.changes.map((change) => this.#seen(change));
    this.#put(commit);
    this.#revision = commit.revision;
    this.#stamp = commit.stamp;
    return commit.changes.map((change, i) => {
      const { subject } = change;
      return { subject, change, before: before[i], after: this.#seen(change) } as AppliedChange;
    });
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

  /** Of these, those that registered last with this token. */
  servicesOfToken(tokenId: string): number {
    return this.#countByToken.get(tokenId) ?? this.#base?.servicesOfToken(tokenId) ?? 0;
  }

  service(id: string): ServiceRecord | undefined {
    return this.#services.get(id) ?? this.#base?.service(id);
  }

  /** The service, unless it was removed. */
  presentService(id: string): ServiceRecord | undefined {
    const service = this.service(id);
    return service?.removed ? undefined : service;
  }

  serviceByInstance(instanceId: string): ServiceRecord | undefined {
    const id = this.#serviceIdByInstance.get(instanceId);
    return id === undefined ? this.#base?.serviceByInstance(instanceId) : this.service(id);
  }

  /** The service whose identity is this (type, name). */
  anonymousService(type: string, name: string): ServiceRecord | undefined {
    const id = this.#anonymousId(pairKey(type, name));
    // As the draft has it, not the base.
    const service = id === undefined ? undefined : this.service(id);
    return service?.secretHash === undefined ? service : undefined; // it may have been pinned since
  }

  /** Whether a pinned instance has this (type, name) now. */
  isPinnedPair(type: string, name: string): boolean {
    return this.#pinnedCount(pairKey(type, name)) > 0;
  }

  entry(id: string): EntryRecord | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined ? this.#base?.entry(id) : (entry ?? undefined);
  }

  /** The entry with what managers see of it, also while it is hidden. */
  resolvedEntry(id: string): ResolvedEntry | undefined {
    const entry = this.entry(id);
    return entry && this.#resolve(entry);
  }

  entryOf(serviceId: string): EntryRecord | undefined {
    const id = this.#entryIdByService.get(serviceId);
    return id === undefined ? this.#base?.entryOf(serviceId) : this.entry(id);
  }

  /** The entry, if managers see it. */
  visibleEntry(id: string): ResolvedEntry | undefined {
    const resolved = this.resolvedEntry(id);
    return resolved && isVisible(resolved) ? resolved : undefined;
  }

  /** The entry that has this name, be it hidden: a name waits for its service's return. */
  entryNamed(name: string): EntryRecord | undefined {
    const id = this.#entryIdByName.get(name);
    if (id === undefined) return this.#base?.entryNamed(name);
    return id === null ? undefined : this.entry(id);
  }

  token(id: string): TokenRecord | undefined {
    return this.#tokens.get(id) ?? this.#base?.token(id);
  }

  /** An instance's own tokens, revoked ones too, oldest first. */
  tokensOf(instanceId: string): readonly TokenRecord[] {
    return this.#tokenIdsOf(instanceId).flatMap((id) => this.token(id) ?? []);
  }

  /** Services of this name, of their own or of their entry, removed ones too; not of a draft. */
  *servicesNamed(name: string): Iterable<ServiceRecord> {
    const entry = this.entryNamed(name);
    const ofEntry = entry && serviceIdOf(entry);
    for (const service of this.#services.values())
      if (service.spec.name === name || service.id === ofEntry) yield service;
  }

  /** Present services, of the catalog itself: a draft is not listed. */
  *services(): Iterable<ServiceRecord> {
    for (const service of this.#services.values()) if (!service.removed) yield service;
  }

  /** Entries that managers see. */
  *entries(): Iterable<ResolvedEntry> {
    for (const resolved of this.#resolvedEntries()) if (isVisible(resolved)) yield resolved;
  }

  /** Entries that managers do not see: an operator deleted them, or their service is away. */
  *hiddenEntries(): Iterable<ResolvedEntry> {
    for (const resolved of this.#resolvedEntries()) if (!isVisible(resolved)) yield resolved;
  }

  *#resolvedEntries(): Iterable<ResolvedEntry> {
    for (const entry of this.#entries.values()) {
      const resolved = entry && this.#resolve(entry);
      if (resolved) yield resolved;
    }
  }

  #resolve(entry: EntryRecord): ResolvedEntry | undefined {
    const serviceId = serviceIdOf(entry);
    return resolveEntry(entry, serviceId === undefined ? undefined : this.service(serviceId));
  }

  /** What watchers see of a change's subject now. */
  #seen({ subject, subjectId }: Change): ServiceRecord | ResolvedEntry | TokenRecord | undefined {
    switch (subject) {
      case "service":
        return this.presentService(subjectId);
      case "download-client":
        return this.visibleEntry(subjectId);
      case "token":
        return this.token(subjectId);
    }
  }

  tokens(): Iterable<TokenRecord> {
    return this.#tokens.values();
  }

  #put({ services, entries, removedEntryIds, tokens }: Records): void {
    for (const service of services) this.#putService(service);
    for (const entry of entries) this.#putEntry(entry);
    for (const id of removedEntryIds ?? []) this.#removeEntry(id);
    for (const token of tokens) this.#putToken(token);
  }

  #putToken(token: TokenRecord): void {
    this.#tokens.set(token.id, token);
    if (token.instanceId === "") return;
    const ids = this.#tokenIdsOf(token.instanceId);
    if (!ids.includes(token.id)) this.#tokenIdsByInstance.set(token.instanceId, [...ids, token.id]);
  }

  #tokenIdsOf(instanceId: string): readonly string[] {
    const base = this.#base;
    return this.#tokenIdsByInstance.get(instanceId) ?? (base ? base.#tokenIdsOf(instanceId) : []);
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
    const ofToken = this.servicesOfToken(service.tokenId) + by;
    this.#setCount(this.#countByToken, service.tokenId, ofToken);
    if (service.secretHash === undefined) return;
    const key = pairKey(service.spec.type, service.spec.name);
    this.#setCount(this.#pinnedByPair, key, this.#pinnedCount(key) + by);
  }

  /** A draft must say that there are none any more, or its base would be asked. */
  #setCount(index: Map<string, number>, key: string, count: number): void {
    if (count === 0 && !this.#base) index.delete(key);
    else index.set(key, count);
  }

  #anonymousId(key: string): string | undefined {
    const base = this.#base;
    return this.#anonymousByPair.get(key) ?? (base ? base.#anonymousId(key) : undefined);
  }

  #pinnedCount(key: string): number {
    const base = this.#base;
    return this.#pinnedByPair.get(key) ?? (base ? base.#pinnedCount(key) : 0);
  }

  #putEntry(entry: EntryRecord): void {
    const before = this.entry(entry.id);
    if (before && before.name !== entry.name) this.#remove(this.#entryIdByName, before.name);
    this.#entries.set(entry.id, entry);
    this.#entryIdByName.set(entry.name, entry.id);
    const serviceId = serviceIdOf(entry);
    if (serviceId !== undefined) this.#entryIdByService.set(serviceId, entry.id);
  }

  /** Of a MANUAL entry: one of a service is hidden, never removed. */
  #removeEntry(id: string): void {
    const before = this.entry(id);
    if (!before) return;
    this.#remove(this.#entries, id);
    this.#remove(this.#entryIdByName, before.name);
  }

  #remove(index: Map<string, unknown>, key: string): void {
    if (this.#base) index.set(key, null);
    else index.delete(key);
  }
}

/** The separator cannot occur in a type. */
function pairKey(type: string, name: string): string {
  return `${type} ${name}`;
}
