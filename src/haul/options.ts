import {
  checkRegistrationOptions,
  type PulseSecurity,
  type RegistrationOptions,
} from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { ClientSettings } from "./client-settings.js";
import { checkClientUrl, checkFrontedClient } from "./fronted-client.js";
import { StartError } from "./start-error.js";

export interface HaulOptions extends PulseSecurity {
  /** The download client to front, with Haul's own identity. */
  readonly client?: ClientSettings;
  /**
   * Download clients to front, any number of them, each with an identity of its own. With
   * neither this nor `client`: an aria2 of Haul's own if there is one, else Haul itself.
   */
  readonly clients?: readonly ClientSettings[];
  /** Where Pulse is; several addresses with commas between. */
  readonly pulse: string;
  /** Bearer token of scope `register`, or what finds it; asked before each attempt. */
  readonly token: RegistrationOptions["token"];
  /** For people; Pulse makes the name of an entry from it, unless `clients` have their own. */
  readonly name: string;
  /** Where Haul's own API listens; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** For identity, API key and aria2's files; made if it is not there, for its owner alone. */
  readonly stateDirectory: string;
  /** URL at which others reach what is registered, if not the one that Haul uses. */
  readonly advertiseUrl?: string;
  /** Where an aria2 of Haul's own puts files; `downloads` in the state directory. */
  readonly downloadDirectory?: string;
  /** Environment for an aria2 of Haul's own and for checks of a VPN, PATH among it; without secrets. */
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
  checkClients(options.client ? [options.client] : (options.clients ?? []));
  if (options.advertiseUrl) checkClientUrl(options.advertiseUrl, "the advertised URL");
}

/** @throws StartError that names the client. */
export function checkClients(clients: readonly ClientSettings[]): void {
  const names = new Set<string>();
  for (const client of clients) {
    checkFrontedClient(client);
    const { name, advertiseUrl } = client;
    if (advertiseUrl !== undefined) checkClientUrl(advertiseUrl, "the advertised URL");
    if (names.has(name))
      throw new StartError(`two download clients are called ${JSON.stringify(name)}: rename one`);
    names.add(name);
  }
}

/** How its connection to Pulse is kept from others. */
export function securityOf({ tls, insecure }: PulseSecurity): PulseSecurity {
  return { ...(tls !== undefined && { tls }), ...(insecure !== undefined && { insecure }) };
}
