import {
  createRegistrationGroup,
  plainTextExposure,
  type Registration,
  type ServiceCredentials,
  type ServiceDescription,
  type ServiceHealth,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { type HaulOptions, securityOf } from "./options.js";
import { logRegistration } from "./registration-log.js";

/** Begins a registration. */
export type Register = (
  service: ServiceDescription,
  credentials: ServiceCredentials,
  health: ServiceHealth,
) => Registration;

/** With the identity that is kept in a directory, and written to a log. */
export type RegisterIn = (directory: string, log: Log) => Register;

/** Registers all that a Haul has to register, over one connection to Pulse and one heartbeat stream. */
export interface Registrar {
  readonly registerIn: RegisterIn;
  /** To be called when all of them have been closed. */
  close(): Promise<void>;
}

export function createRegistrar(options: HaulOptions, clock: Clock, random: Random): Registrar {
  const { pulse, token, log } = options;
  const exposure = plainTextExposure(pulse);
  if (exposure !== undefined) log.warn({ pulse, detail: exposure }, "haul.plain-text");
  const group = createRegistrationGroup({ ...securityOf(options), pulse, token, clock, random });
  return {
    registerIn: (directory, log) => (service, credentials, health) => {
      const identity = { directory };
      const registration = group.register({ service, credentials, health, identity });
      logRegistration(registration, pulse, log);
      return registration;
    },
    close: () => group.close(),
  };
}
