import type { CredentialState, ServiceRecord, ServiceStatus } from "./service.js";

/** The type of service that gets a download-client entry. */
export const DOWNLOAD_CLIENT_TYPE = "download-client";

/** What an operator may set on an entry, and no registration ever touches. */
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

/**
 * A download-client entry as it is stored: only what is the entry's own. The
 * service-owned fields are read from the service, so that a registration cannot
 * touch the operator's and the two can never disagree.
 */
export interface EntryRecord extends OperatorFields {
  readonly id: string;
  readonly serviceId: string;
  /** Wall-clock ms. */
  readonly createdAt: number;
  /** Wall-clock ms of its newest visible change. */
  readonly updatedAt: number;
  /** Revision of its newest visible change. */
  readonly revision: bigint;
  /** Its service is gone: hidden, and kept for that service's return. */
  readonly removed: boolean;
}

/** The defaults of a new entry. */
export function newOperatorFields(name: string): OperatorFields {
  return { name, enabled: true, priority: 50, category: "", directory: "", tags: [], settings: {} };
}

/**
 * The name for a new entry: the service's, or that with the lowest free number
 * from 2 on. `isTaken` counts removed entries too, whose names wait for them.
 */
export function freeEntryName(wanted: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(wanted)) return wanted;
  for (let n = 2; ; n++) {
    const name = `${wanted}-${n}`;
    if (!isTaken(name)) return name;
  }
}

/** The service-owned half of an entry as managers see it. */
export interface ServiceFacts {
  readonly kind: string;
  readonly protocol: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly useSsl: boolean;
  readonly urlBase: string;
  readonly username: string;
  readonly password: string;
  readonly version: string;
  readonly availability: ServiceStatus;
  readonly availabilityReason: string;
  readonly credentialState: CredentialState;
}

export function serviceFacts(service: ServiceRecord): ServiceFacts {
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
    availability: service.status,
    availabilityReason: service.statusReason,
    credentialState: service.credentialState,
  };
}

/** Whether managers would see a difference between two states of a service. */
export function factsDiffer(a: ServiceRecord, b: ServiceRecord): boolean {
  const before = serviceFacts(a);
  const after = serviceFacts(b);
  return (Object.keys(before) as (keyof ServiceFacts)[]).some((key) => before[key] !== after[key]);
}
