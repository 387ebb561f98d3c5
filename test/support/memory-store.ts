import type { AuditEntry } from "../../src/core/audit.js";
import type { Commit } from "../../src/core/change.js";
import type { EntryRecord } from "../../src/core/entry.js";
import type { ServiceRecord } from "../../src/core/service.js";
import type { TokenRecord } from "../../src/core/token.js";
import type {
  AuditPage,
  AuditRequest,
  CommitRequest,
  KeyRotation,
  PresenceFlush,
  Store,
  StoredRegistry,
  TokenUse,
} from "../../src/store/store.js";
import { MemoryAudit } from "./memory-audit.js";

/** A store without a disk, which can be told to fail, for tests of what stands on it. */
export class MemoryStore implements Store {
  readonly commits: Commit[] = [];
  readonly audit = new MemoryAudit();
  /** Sizes of the transactions, to see what was grouped. */
  readonly batches: number[] = [];
  flushes = 0;
  /** As of the last compaction. */
  compactedRevision = 0n;
  /** While set, every write throws it. */
  failure: Error | undefined;
  readonly shared = undefined;
  /** When tokens were used last, as written. */
  readonly uses = new Map<string, number>();
  #registryTimeMs = 0;
  readonly #services = new Map<string, ServiceRecord>();
  readonly #entries = new Map<string, EntryRecord>();
  readonly #tokens = new Map<string, TokenRecord>();

  async load(): Promise<StoredRegistry> {
    const last = this.commits.at(-1);
    return {
      epoch: "epoch-1",
      revision: last?.revision ?? 0n,
      stamp: last?.stamp ?? "",
      registryTimeMs: this.#registryTimeMs,
      services: [...this.#services.values()],
      entries: [...this.#entries.values()],
      tokens: [...this.#tokens.values()],
      history: this.commits.filter(({ revision }) => revision > this.compactedRevision),
    };
  }

  async commit({ decide }: CommitRequest): Promise<void> {
    if (this.failure) throw this.failure;
    const commits = decide({ missed: [], holdings: new Map() });
    if (commits.length === 0) return;
    this.batches.push(commits.length);
    for (const commit of commits) {
      this.commits.push(commit);
      this.audit.append(commit.audit ?? []);
      for (const service of commit.services) this.#services.set(service.id, service);
      for (const entry of commit.entries) this.#entries.set(entry.id, entry);
      for (const id of commit.removedEntryIds) this.#entries.delete(id);
      for (const token of commit.tokens) this.#tokens.set(token.id, token);
    }
  }

  async flush({ registryTimeMs, presences }: PresenceFlush): Promise<void> {
    if (this.failure) throw this.failure;
    this.flushes++;
    this.#registryTimeMs = registryTimeMs;
    for (const { serviceId, leaseId, ...presence } of presences) {
      const service = this.#services.get(serviceId);
      if (service?.leaseActive && service.leaseId === leaseId)
        this.#services.set(serviceId, { ...service, ...presence });
    }
  }

  async noteTokenUses(uses: readonly TokenUse[]): Promise<void> {
    if (this.failure) throw this.failure;
    for (const { tokenId, usedAt } of uses)
      this.uses.set(tokenId, Math.max(usedAt, this.uses.get(tokenId) ?? usedAt));
  }

  async tokenUses(): Promise<readonly TokenUse[]> {
    if (this.failure) throw this.failure;
    return [...this.uses].map(([tokenId, usedAt]) => ({ tokenId, usedAt }));
  }

  async compact(revision: bigint): Promise<void> {
    if (this.failure) throw this.failure;
    this.compactedRevision = revision;
  }

  async appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    if (this.failure) throw this.failure;
    this.audit.append(entries);
  }

  async readAudit(request: AuditRequest): Promise<AuditPage> {
    return this.audit.read(request);
  }

  async trimAudit(before: number): Promise<void> {
    if (this.failure) throw this.failure;
    this.audit.trim(before);
  }

  async rotateKeys(): Promise<KeyRotation> {
    if (this.failure) throw this.failure;
    return { keyId: "0".repeat(8), resealed: 0, retiredKeyIds: [] };
  }

  async close(): Promise<void> {}
}
