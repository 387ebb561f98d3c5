import type { Load } from "../../gen/pulse/v1/load_pb.js";
import { type EntryFacts, hasOwnLogin, type ResolvedEntry } from "../core/entry.js";
import type { Clock } from "../lib/clock.js";
import type { Leases } from "./leases.js";
import type { Registry } from "./registry.js";

/** What is known of an entry beside its records, and is no change. */
export interface Signs {
  readonly load: Load | undefined;
  /** Wall-clock ms of when the client last accepted the entry's credentials; undefined: nobody has said so. */
  readonly verifiedAt: number | undefined;
}

export interface EntrySigns {
  of(resolved: ResolvedEntry): Signs;
  /** The client has just accepted the credentials of this entry as it was when a test of it began. */
  accepted(tested: ResolvedEntry): void;
}

export interface EntrySignsOptions {
  readonly registry: Registry;
  readonly leases: Leases;
  readonly clock: Clock;
}

/** What `accepted` tells is known to this node alone, until the entry's login changes or Pulse stops. */
export function createEntrySigns({ registry, leases, clock }: EntrySignsOptions): EntrySigns {
  const { catalog } = registry;
  /** By the id of the entry. */
  const tests = new Map<string, { readonly facts: EntryFacts; readonly at: number }>();

  registry.onCommit(({ services, entries, removedEntryIds }) => {
    if (tests.size === 0) return;
    const ofServices = services.map(({ id }) => catalog.entryOf(id)?.id ?? "");
    for (const id of [...ofServices, ...entries.map((entry) => entry.id), ...removedEntryIds]) {
      const test = tests.get(id);
      if (test && !holds(test.facts, catalog.resolvedEntry(id))) tests.delete(id);
    }
  });
  registry.onReload(() => tests.clear());

  return {
    of({ entry, service }) {
      const own = hasOwnLogin(entry.origin)
        ? entry.verifiedAt
        : service && leases.verifiedAt(service);
      return {
        load: leases.loadOf(service),
        verifiedAt: later(own, tests.get(entry.id)?.at),
      };
    },
    accepted({ entry, facts }) {
      if (holds(facts, catalog.resolvedEntry(entry.id)))
        tests.set(entry.id, { facts, at: clock.wallNow() });
    },
  };
}

/** What a login is, and of which client. */
const LOGIN = ["kind", "host", "port", "useSsl", "urlBase", "username", "password"] as const;

/** Whether a test of what an entry was says something of what it is. */
function holds(tested: EntryFacts, now: ResolvedEntry | undefined): boolean {
  if (!now || now.service?.removed || now.facts.credentialState === "rejected") return false;
  return LOGIN.every((field) => tested[field] === now.facts[field]);
}

function later(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
