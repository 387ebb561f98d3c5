export type { ClientTarget, Probe, ProbeFailure, ProbeSuccess } from "./adapter.js";
export { type Haul, startHaul } from "./haul.js";
export type { HaulOptions } from "./options.js";
export { FRONTABLE_KINDS, probeClient } from "./probe.js";
export { StartError } from "./start-error.js";
