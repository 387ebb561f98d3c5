import {
  plainTextExposure,
  type Registration,
  type ServiceCredentials,
  type ServiceDescription,
  startRegistration,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import { hostOf, isLoopbackHost } from "../lib/host.js";
import type { Random } from "../lib/random.js";
import { type HaulOptions, securityOf } from "./options.js";
import { logRegistration } from "./registration-log.js";

/** Begins the registration of this Haul's service. */
export type Register = (
  service: ServiceDescription,
  credentials: ServiceCredentials,
) => Registration;

export function createRegister(options: HaulOptions, clock: Clock, random: Random): Register {
  const { pulse, token, stateDirectory, log } = options;
  const exposure = plainTextExposure(pulse);
  if (exposure !== undefined) log.warn({ pulse, detail: exposure }, "haul.plain-text");
  return (service, credentials) => {
    const isPulseHere = pulse.split(",").every(isLoopback);
    const isOnlyHere = isLoopback(service.apiUrl ?? "") && !isPulseHere;
    if (isOnlyHere)
      log.warn({ apiUrl: service.apiUrl, pulse, detail: ONLY_HERE }, "haul.loopback-address");
    const registration = startRegistration({
      ...securityOf(options),
      pulse,
      token,
      service,
      credentials,
      identity: { directory: stateDirectory },
      clock,
      random,
    });
    logRegistration(registration, pulse, log);
    return registration;
  };
}

const ONLY_HERE =
  "Pulse is on another host, but what is registered can be reached on this one only: give --advertise-url";

function isLoopback(text: string): boolean {
  const address = text.trim();
  const full = address.includes("://") ? address : `http://${address}`;
  return URL.canParse(full) && isLoopbackHost(hostOf(new URL(full)));
}
