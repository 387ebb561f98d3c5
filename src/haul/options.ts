import {
  checkRegistrationOptions,
  type PulseSecurity,
  type RegistrationOptions,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { checkClientUrl, checkFrontedClient, type FrontedClient } from "./fronted-client.js";

export interface HaulOptions extends PulseSecurity {
  /** The download client to front. Left out: an aria2 of Haul's own if there is one, else Haul itself. */
  readonly client?: FrontedClient;
  /** Where Pulse is; several addresses with commas between. */
  readonly pulse: string;
  /** Bearer token of scope `register`, or what finds it; asked before each attempt. */
  readonly token: RegistrationOptions["token"];
  /** For people; Pulse makes the entry's name from it. */
  readonly name: string;
  /** Where Haul's own API listens; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** For identity, API key and aria2's files; made if it is not there, for its owner alone. */
  readonly stateDirectory: string;
  /** URL at which others reach what is registered, if not the one that Haul uses. */
  readonly advertiseUrl?: string;
  /** Where an aria2 of Haul's own puts files; `downloads` in the state directory. */
  readonly downloadDirectory?: string;
  /** Environment for an aria2 of Haul's own, PATH among it; that of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Version of this Haul. */
  readonly version?: string;
  readonly log: Log;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/**
 * Finds before anything is started what would only show at the first good probe.
 * @throws StartError or TypeError that says what to do.
 */
export function checkHaulOptions(options: HaulOptions): void {
  checkRegistrationOptions({
    ...securityOf(options),
    pulse: options.pulse,
    token: options.token,
    service: { name: options.name, type: "service" },
    identity: { directory: options.stateDirectory },
  });
  if (options.client) checkFrontedClient(options.client);
  if (options.advertiseUrl) checkClientUrl(options.advertiseUrl, "the advertised URL");
}

/** How its connection to Pulse is kept from others. */
export function securityOf({ tls, insecure }: PulseSecurity): PulseSecurity {
  return { ...(tls !== undefined && { tls }), ...(insecure !== undefined && { insecure }) };
}
