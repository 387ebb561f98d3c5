export type { Probe } from "../adapters/adapter.js";
export type { ClientSettings } from "./client-settings.js";
export { FRONTABLE_KINDS, type FrontedClient, probeFrontedClient } from "./fronted-client.js";
export { type Haul, startHaul } from "./haul.js";
export type { HaulOptions } from "./options.js";
export type { RequestedRotation } from "./rotation-request.js";
export { requestRotation } from "./rotation-request.js";
export { StartError } from "./start-error.js";
