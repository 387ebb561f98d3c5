import { type FilePlaces, isSameMappings } from "./file-places.js";
import type { DownloadProtocol } from "./kinds.js";
import type { CredentialState, ServiceRecord, ServiceStatus } from "./service.js";
import { shownReason } from "./shown-status.js";
import { NAME_RULE } from "./text.js";

/** The type of service that gets a download-client entry. */
export const DOWNLOAD_CLIENT_TYPE = "download-client";

/** What an operator may set on any entry, and no registration ever touches. */
export interface OperatorFields {
  readonly name: string;
  readonly enabled: boolean;
  /** 1 to 100, the lowest preferred. */
  readonly priority: number;
  readonly category: string;
  readonly directory: string;
  readonly tags: readonly string[];
  /** A JSON object. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Where a download client is, and how to log in. */
export interface Access {
  /** Host name or IP address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly useSsl: boolean;
  /** Empty, or `/` and a path without a slash at its end. */
  readonly urlBase: string;
  /** Empty if there is none. */
  readonly username: string;
  /** Empty if there is none. Encrypted by the store. */
  readonly password: string;
}

/** A download client that an operator describes himself. */
export interface Target extends Access, FilePlaces {
  readonly kind: string;
  readonly protocol: DownloadProtocol;
}

/** Where the half of an entry comes from that its operator does not own in every case. */
export type EntryOrigin =
  | {
      readonly source: "auto";
      readonly serviceId: string;
      /** What the operator has put in the place of the service's own fields. */
      readonly overrides: Partial<Access>;
    }
  | { readonly source: "manual"; readonly target: Target };

/**
 * A download-client entry as it is stored: only what is the entry's own. The
 * service-owned fields are read from the service, so that a registration cannot
 * touch the operator's and the two can never disagree.
 */
export interface EntryRecord extends OperatorFields {
  readonly id: string;
  readonly origin: EntryOrigin;
  /** Of credentials that an operator has set; those of a service have their own. */
  readonly credentialState: CredentialState;
  /** Wall-clock ms of the test that first found these good, since they are what they are. */
  readonly verifiedAt: number | undefined;
  /** Wall-clock ms. */
  readonly createdAt: number;
  /** Wall-clock ms of its newest visible change. */
  readonly updatedAt: number;
  /** Revision of its newest visible change. */
  readonly revision: bigint;
  /** Wall-clock ms since when an operator wants an AUTO entry hidden; undefined: he does not. */
  readonly deletedAt: number | undefined;
}

/** What is known of credentials that nobody has tried yet. */
export const UNTRIED = { credentialState: "unverified", verifiedAt: undefined } as const;

/** The defaults of a new entry. */
export function newOperatorFields(name: string): OperatorFields {
  return { name, enabled: true, priority: 50, category: "", directory: "", tags: [], settings: {} };
}

/**
 * The name for a new entry: the service's, or that with the lowest free number
 * from 2 on. `isTaken` counts hidden entries too, whose names wait for them.
 */
export function freeEntryName(wanted: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(wanted)) return wanted;
  for (let n = 2; ; n++) {
    const name = numberedName(wanted, `-${n}`);
    if (!isTaken(name)) return name;
  }
}

/** A name that is as long as it may be gives way to its number. */
function numberedName(wanted: string, suffix: string): string {
  const name = wanted + suffix;
  if (name.length <= NAME_RULE.max) return name;
  return [...wanted].slice(0, NAME_RULE.max - suffix.length).join("") + suffix;
}

/** The half of an entry that is not the operator's in every case, as managers see it. */
export interface EntryFacts extends Access, FilePlaces {
  readonly kind: string;
  readonly protocol: DownloadProtocol | undefined;
  readonly version: string;
  readonly availability: ServiceStatus;
  readonly availabilityReason: string;
  readonly credentialState: CredentialState;
}

/** An entry with all that managers see of it. */
export interface ResolvedEntry {
  readonly entry: EntryRecord;
  /** The service of an AUTO entry. */
  readonly service: ServiceRecord | undefined;
  readonly facts: EntryFacts;
}

export function serviceIdOf({ origin }: EntryRecord): string | undefined {
  return origin.source === "auto" ? origin.serviceId : undefined;
}

/** Whether managers log in with something that an operator set, be it one half of it. */
export function hasOwnLogin(origin: EntryOrigin): boolean {
  if (origin.source === "manual") return true;
  return origin.overrides.username !== undefined || origin.overrides.password !== undefined;
}

/** @param service that of an AUTO entry; if there is none the entry has nothing to be seen. */
export function resolveEntry(
  entry: EntryRecord,
  service: ServiceRecord | undefined,
): ResolvedEntry | undefined {
  if (entry.origin.source === "manual")
    return { entry, service: undefined, facts: ownFacts(entry, entry.origin.target) };
  if (!service) return undefined;
  const facts = {
    ...serviceFacts(service),
    ...entry.origin.overrides,
    ...(hasOwnLogin(entry.origin) ? { credentialState: entry.credentialState } : {}),
  };
  return { entry, service, facts };
}

/** Whether managers see it: nobody deleted it, and its service is there and approved. */
export function isVisible({ entry, service }: ResolvedEntry): boolean {
  if (entry.deletedAt !== undefined) return false;
  return entry.origin.source === "manual" || isDownloadClient(service);
}

function isDownloadClient(service: ServiceRecord | undefined): boolean {
  return (
    service !== undefined &&
    !service.removed &&
    service.approved &&
    service.spec.type === DOWNLOAD_CLIENT_TYPE
  );
}

/** Nobody watches over it, so it is taken for usable, and the reason says why. */
function ownFacts({ credentialState }: EntryRecord, target: Target): EntryFacts {
  return {
    ...target,
    version: "",
    availability: "online",
    availabilityReason: "made by hand, not watched",
    credentialState,
  };
}

/** One that waits for approval is offline to managers, whatever it says of itself. */
function serviceFacts(service: ServiceRecord): EntryFacts {
  const { spec } = service;
  return {
    kind: spec.kind,
    protocol: spec.protocol,
    host: spec.endpoint?.host ?? "",
    port: spec.endpoint?.port ?? 0,
    useSsl: spec.endpoint?.useSsl ?? false,
    urlBase: spec.endpoint?.urlBase ?? "",
    username: service.username,
    password: service.apiKey,
    version: spec.version,
    availability: service.approved ? service.status : "offline",
    availabilityReason: shownReason(service),
    credentialState: service.credentialState,
    downloadDirectory: spec.downloadDirectory,
    pathMappings: spec.pathMappings,
  };
}

/** Whether managers see a difference between two states of an entry, the operator's half apart. */
export function factsDiffer(a: EntryFacts, b: EntryFacts): boolean {
  return (Object.keys(a) as (keyof EntryFacts)[]).some((key) =>
    key === "pathMappings" ? !isSameMappings(a[key], b[key]) : a[key] !== b[key],
  );
}
