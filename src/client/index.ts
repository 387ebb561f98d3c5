export type { TokenSource } from "./authorization.js";
export type { PulseConnection } from "./clients.js";
export type { ConnectOptions } from "./connection.js";
export { connectPulse } from "./connection.js";
export { InvalidRequestError } from "./failure.js";
export type { Identity } from "./identity.js";
export { readOrCreateIdentity } from "./identity.js";
export { checkRegistrationOptions, parsePulseAddress } from "./options.js";
export { registerWithRetry, startRegistration } from "./register.js";
export type {
  Grant,
  Registration,
  RegistrationEvent,
  RegistrationOptions,
  RegistrationState,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "./registration.js";
export type { RetryPolicy } from "./retry.js";
