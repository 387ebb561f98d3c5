import { join } from "node:path";
import type { ProbeSuccess } from "../adapters/adapter.js";
import type { Clock } from "../lib/clock.js";
import { hostOf, isLoopbackHost } from "../lib/host.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { stableId } from "../lib/stable-id.js";
import { createClientAddress } from "./client-address.js";
import { DEFAULT_MIN_FREE_BYTES, DEFAULT_STALLED_AFTER_MS } from "./client-health.js";
import { createClientSecret } from "./client-secret.js";
import type { ClientSettings } from "./client-settings.js";
import { freeBytesIn } from "./free-space.js";
import type { FrontedBy } from "./front.js";
import { createVpnCheck } from "./vpn-check.js";

/** The type for which Pulse makes a download-client entry. */
export const DOWNLOAD_CLIENT_TYPE = "download-client";

export interface SettingsFrontOptions {
  /** Where what is kept of this client lies; it is there. */
  readonly stateDirectory: string;
  /** Where Pulse is; several addresses with commas between. */
  readonly pulse: string;
  /** What a check of the VPN sees of the environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How a client is fronted of which an operator has said this. */
export async function frontOf(
  settings: ClientSettings,
  options: SettingsFrontOptions,
): Promise<FrontedBy> {
  const { pulse, environment, clock, log } = options;
  const secret = await createClientSecret(settings, options);
  const { kind, advertiseUrl, advertiseHost } = settings;
  const vpn =
    settings.vpnCheck === undefined
      ? undefined
      : createVpnCheck({ command: settings.vpnCheck, environment, clock, log });
  return {
    get target() {
      return secret.target;
    },
    settle: secret.settle,
    changeSecret: secret.change,
    addressOf: createClientAddress({ kind, pulse, advertiseUrl, advertiseHost }, clock),
    ...(vpn && { vpn: () => vpn.run(), stop: () => vpn.stop() }),
    async freeBytes({ downloadDirectory }) {
      const isHere = isLoopbackHost(hostOf(new URL(secret.target.url)));
      return isHere && downloadDirectory ? freeBytesIn(downloadDirectory) : undefined;
    },
    describe: (_, apiUrl, probe) => ({
      name: settings.name,
      type: DOWNLOAD_CLIENT_TYPE,
      kind,
      apiUrl,
      version: probe.version,
      ...directoryOf(settings, probe),
      ...(settings.pathMappings && { pathMappings: settings.pathMappings }),
    }),
    rules: {
      minFreeBytes: settings.minFreeBytes ?? DEFAULT_MIN_FREE_BYTES,
      stalledAfterMs: settings.stalledAfterMs ?? DEFAULT_STALLED_AFTER_MS,
    },
  };
}

/** What the client says of itself may be anything: nothing is registered that Pulse would refuse. */
function directoryOf({ downloadDirectory }: ClientSettings, probe: ProbeSuccess) {
  const said = downloadDirectory ?? probe.downloadDirectory ?? "";
  return said === "" || said.length > 1_024 || /[\p{Cc}\u2028\u2029]/u.test(said)
    ? {}
    : { downloadDirectory: said };
}

/** Of a client among several, below Haul's own: its name, if that can be a directory's. */
export function clientStateDirectory(stateDirectory: string, name: string): string {
  const plain = name.replace(/[^\w-]/g, "_").slice(0, 64);
  // No plain name has a dot.
  return join(stateDirectory, "clients", plain === name ? name : `${plain}.${stableId(name)}`);
}
