export type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
export type { Service } from "../../gen/pulse/v1/service_pb.js";
export type { TlsOptions, TlsSource } from "../wire/tls-options.js";
export { checkTlsOptions } from "../wire/tls-options.js";
export { parsePulseAddresses } from "./addresses.js";
export type { TokenSource } from "./authorization.js";
export type { PulseConnection } from "./clients.js";
export type { ConnectOptions } from "./connection.js";
export { connectPulse } from "./connection.js";
export { InvalidRequestError } from "./failure.js";
export type { Identity } from "./identity.js";
export { readOrCreateIdentity } from "./identity.js";
export { checkRegistrationOptions } from "./options.js";
export { toManagerPath } from "./path-mapping.js";
export { registerWithRetry, startRegistration } from "./register.js";
export type {
  Grant,
  PathMapping,
  Registration,
  RegistrationEvent,
  RegistrationOptions,
  RegistrationState,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "./registration.js";
export type {
  GroupMember,
  RegistrationGroup,
  RegistrationGroupOptions,
} from "./registration-group.js";
export { createRegistrationGroup } from "./registration-group.js";
export type { RetryPolicy } from "./retry.js";
export type { PulseSecurity } from "./target.js";
export { plainTextExposure } from "./target.js";
export {
  streamDownloadClientResponses,
  streamServiceResponses,
  watchDownloadClients,
  watchServices,
} from "./watch.js";
export type {
  DownloadClientFilter,
  ItemEvent,
  ServiceFilter,
  StatusEvent,
  StreamItem,
  StreamOptions,
  Usability,
  Watch,
  WatchEvent,
  WatchOptions,
  WatchView,
} from "./watching.js";
