export { DEFAULT_LEASE_POLICY, type LeasePolicy } from "../core/lease.js";
export type { PulseOptions, PulseServer } from "./options.js";
export { startPulse } from "./server.js";
export { StartError } from "./start-error.js";
export type { TlsFiles } from "./tls-files.js";
