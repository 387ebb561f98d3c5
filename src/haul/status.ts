import type { ProbeableKind } from "../adapters/adapter.js";
import type { Registration, ServiceHealth } from "../client/index.js";
import type { Finding } from "./fronting.js";

/** One thing that Haul registers, as it stands. */
export interface ServiceView {
  /** Undefined: it has not been registered yet. */
  readonly registration: Registration | undefined;
  /** Undefined: Haul registers itself. */
  readonly client:
    | {
        readonly kind: ProbeableKind;
        readonly url: string;
        /** Undefined: it has not been asked yet. */
        readonly finding: Finding | undefined;
        /** Wall-clock ms. */
        readonly foundAt: number;
        readonly health: ServiceHealth | undefined;
      }
    | undefined;
}

export interface AboutHaul {
  readonly name: string;
  readonly version: string;
  readonly instanceId: string;
  readonly pulse: string;
}

/** The answer of `GET /api/status`: no secrets. */
export function describeStatus(
  { pulse, ...haul }: AboutHaul,
  services: ReadonlyMap<string, ServiceView>,
): object {
  return {
    ...haul,
    pulse: { url: pulse },
    services: [...services].map(([name, { registration, client }]) => ({
      name,
      ...registrationStatus(registration),
      downloadClient: client ? clientStatus(client) : null,
    })),
  };
}

function registrationStatus(registration: Registration | undefined): object {
  // What has not answered is not registered: managers would be sent to nowhere.
  if (!registration) return { state: "waiting-for-download-client" };
  const { state, grant } = registration;
  if (!grant) return { state };
  const { serviceId, entryName, ttlMs, generation } = grant;
  return { state, serviceId, entryName, ttlMs, generation: String(generation) };
}

function clientStatus(client: NonNullable<ServiceView["client"]>): object {
  const { kind, url, finding, foundAt, health } = client;
  if (!finding) return { kind, url, outcome: "not-asked-yet" };
  const { probe, address, vpn } = finding;
  return {
    kind,
    url,
    probedTime: new Date(foundAt).toISOString(),
    ...health,
    ...(vpn && { vpn }),
    ...(address && (address.ok ? { advertisedUrl: address.url } : { problem: address.problem })),
    ...probe,
  };
}
