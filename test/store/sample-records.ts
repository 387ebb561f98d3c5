import type { AuditEntry } from "../../src/core/audit.js";
import type { Commit } from "../../src/core/change.js";
import { type EntryRecord, newOperatorFields, type Target } from "../../src/core/entry.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { PLAIN_TOKEN, type TokenRecord } from "../../src/core/token.js";
import type { CommitRequest, Store, StorePoint } from "../../src/store/store.js";

export function serviceRecord(change: Partial<ServiceRecord> = {}): ServiceRecord {
  return {
    id: "service-1",
    instanceId: "instance-1",
    secretHash: "hash",
    spec: {
      name: "haul",
      type: "download-client",
      kind: "qbittorrent",
      apiUrl: "http://nas:8080",
      endpoint: { host: "nas", port: 8080, useSsl: false, urlBase: "" },
      healthUrl: "",
      version: "4.5.2",
      capabilities: ["torrent"],
      metadata: { os: "linux" },
      protocol: "torrent",
      downloadDirectory: "/downloads",
      pathMappings: [{ clientPath: "/downloads", managerPath: "/data/downloads" }],
    },
    username: "admin",
    apiKey: "key",
    credentialState: "unverified",
    status: "online",
    statusReason: "registered",
    saidOffline: false,
    generation: 1n,
    leaseId: "service-1.1.secret",
    leaseActive: true,
    ttlMs: 15_000,
    leaseCredited: false,
    leaseExpiresAt: 15_000.25,
    lastSeenAt: 1_767_225_600_000,
    verifiedAt: undefined,
    createdAt: 1_767_225_600_000,
    revision: 1n,
    approved: true,
    tokenId: "token-1",
    removed: false,
    ...change,
  };
}

export function entryRecord(change: Partial<EntryRecord> = {}): EntryRecord {
  return {
    ...newOperatorFields("haul"),
    id: "entry-1",
    origin: { source: "auto", serviceId: "service-1", overrides: {} },
    credentialState: "unverified",
    verifiedAt: undefined,
    createdAt: 1_767_225_600_000,
    updatedAt: 1_767_225_600_000,
    revision: 1n,
    deletedAt: undefined,
    ...change,
  };
}

/** An entry made by hand, and what it is of. */
export function manualRecord(
  change: Partial<EntryRecord> = {},
  target: Partial<Target> = {},
): EntryRecord {
  return entryRecord({
    id: "manual-1",
    name: "by hand",
    origin: {
      source: "manual",
      target: {
        kind: "sabnzbd",
        protocol: "usenet",
        host: "nas",
        port: 8080,
        useSsl: true,
        urlBase: "/sab",
        username: "",
        password: "key by hand",
        downloadDirectory: "",
        pathMappings: [],
        ...target,
      },
    },
    ...change,
  });
}

export function tokenRecord(change: Partial<TokenRecord> = {}): TokenRecord {
  return {
    ...PLAIN_TOKEN,
    id: "token-1",
    name: "pilot",
    scopes: ["register", "discover"],
    hash: "hash",
    createdAt: 1_767_225_600_000,
    ...change,
  };
}

/** A commit of some records, with a change for each. */
export function commitOf(
  revision: bigint,
  records: Partial<Pick<Commit, "services" | "entries" | "removedEntryIds" | "tokens">>,
): Commit {
  const { services = [], entries = [], removedEntryIds = [], tokens = [] } = records;
  const subjects = [
    ["service", services],
    ["download-client", entries],
    ["token", tokens],
  ] as const;
  return {
    revision,
    stamp: `stamp-${revision}`,
    at: 1_767_225_600_000 + Number(revision),
    reason: "registered",
    changes: [
      ...subjects.flatMap(([subject, list]) =>
        list.map(({ id }) => ({ subject, subjectId: id, type: "put" as const, detail: "" })),
      ),
      ...removedEntryIds.map((subjectId) => ({
        subject: "download-client" as const,
        subjectId,
        type: "delete" as const,
        detail: "",
      })),
    ],
    services,
    entries,
    removedEntryIds,
    tokens,
  };
}

/** Where a history of such commits stands at a revision. */
export function pointOf(revision: bigint): StorePoint {
  return { revision, stamp: revision === 0n ? "" : `stamp-${revision}` };
}

/** Asks to write these, knowing all up to them, or up to `known`. */
export function requestOf(commits: readonly Commit[], known?: StorePoint): CommitRequest {
  const first = commits[0]?.revision ?? 1n;
  return { known: () => known ?? pointOf(first - 1n), holdingsOf: [], decide: () => commits };
}

/** A revision that changes nothing but one service. */
export function serviceCommit(revision: bigint, change: Partial<ServiceRecord> = {}): Commit {
  return commitOf(revision, { services: [serviceRecord({ revision, ...change })] });
}

/** Commits of one change each, up to `last`, in as many transactions as it takes. */
export async function commitMany(store: Store, last: number, known = 0): Promise<void> {
  const SIZE = 1_000;
  for (let done = known; done < last; done += SIZE) {
    const size = Math.min(SIZE, last - done);
    const commits = Array.from({ length: size }, (_, i) => serviceCommit(BigInt(done + i + 1)));
    await store.commit(requestOf(commits));
  }
}

export function auditEntry(change: Partial<AuditEntry> = {}): AuditEntry {
  return {
    at: 1_767_225_600_000,
    action: "registered",
    tokenId: "token-1",
    tokenName: "service",
    address: "127.0.0.1",
    subject: "service",
    subjectId: "service-1",
    subjectName: "haul",
    detail: "",
    count: 1,
    ...change,
  };
}
