import type { PathMapping } from "../client/index.js";
import type { FrontedClient } from "./fronted-client.js";

/** One download client of a Haul, with all that an operator may say of it. */
export interface ClientSettings extends FrontedClient {
  /** Unique in one Haul; names the entry, and what Haul keeps of it. */
  readonly name: string;
  /** URL at which media managers reach it. Left out: `url`, if that is not loopback, else one made from it. */
  readonly advertiseUrl?: string;
  /** Host to put in the place of a loopback host of `url`: the name of a VPN container, say. */
  readonly advertiseHost?: string;
  /** Command for `sh -c`: whether the VPN is up, by its exit code. */
  readonly vpnCheck?: string;
  /** Below that it is DEGRADED, in bytes; 0: never. */
  readonly minFreeBytes?: number;
  /** Downloads that receive nothing for so long make it DEGRADED, in ms; 0: never. */
  readonly stalledAfterMs?: number;
  /** Where it puts what it has fetched, as it sees that; left out, what it says itself. */
  readonly downloadDirectory?: string;
  readonly pathMappings?: readonly PathMapping[];
}
