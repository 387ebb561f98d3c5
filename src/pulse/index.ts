export { DEFAULT_LEASE_POLICY, type LeasePolicy } from "../core/lease.js";
export { type PulseOptions, type PulseServer, StartError, startPulse } from "./server.js";
