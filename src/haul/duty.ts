import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { HaulOptions } from "./options.js";
import type { RegisterIn } from "./registrar.js";
import type { Rotate } from "./rotation.js";
import type { ServiceView } from "./status.js";

/** What Haul does for Pulse: registers something and keeps it alive. */
export interface Duty {
  /** What it registers, by name. */
  services(): ReadonlyMap<string, ServiceView>;
  readonly rotate: Rotate;
  /** Says goodbye and leaves no timer. */
  stop(): Promise<void>;
}

/** What each of them needs. */
export interface DutyOptions {
  readonly options: HaulOptions;
  readonly registerIn: RegisterIn;
  readonly clock: Clock;
  readonly random: Random;
}
