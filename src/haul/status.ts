import type { ClientTarget, Probe } from "../adapters/adapter.js";
import type { Registration } from "../client/index.js";

/** What there is to tell at the moment. */
export interface StatusView {
  readonly registration: Registration | undefined;
  /** Undefined: Haul registers itself. */
  readonly client:
    | {
        readonly target: ClientTarget;
        readonly probe: Probe | undefined;
        /** Wall-clock ms. */
        readonly probedAt: number;
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
export function describeStatus(about: AboutHaul, view: StatusView): object {
  const { pulse, ...haul } = about;
  return {
    ...haul,
    pulse: { url: pulse, ...pulseStatus(view) },
    downloadClient: clientStatus(view),
  };
}

function pulseStatus({ registration }: StatusView): object {
  // What has not answered is not registered: managers would be sent to nowhere.
  if (!registration) return { state: "waiting-for-download-client" };
  const { state, grant } = registration;
  if (!grant) return { state };
  const { serviceId, entryName, ttlMs, generation } = grant;
  return { state, serviceId, entryName, ttlMs, generation: String(generation) };
}

function clientStatus({ client }: StatusView): object | null {
  if (!client) return null;
  const { kind, url } = client.target;
  if (!client.probe) return { kind, url, outcome: "not-asked-yet" };
  return { kind, url, probedTime: new Date(client.probedAt).toISOString(), ...client.probe };
}
