import type { ServiceCredentials } from "../client/index.js";
import { hostOf, isLoopbackHost } from "../lib/host.js";
import type { Duty, DutyOptions } from "./duty.js";
import { checkClientUrl } from "./fronted-client.js";
import type { KeyRing } from "./key-ring.js";
import { isTold } from "./rotation.js";
import { DOWNLOAD_CLIENT_TYPE } from "./settings-front.js";
import { StartError } from "./start-error.js";

/**
 * With nothing to front, Haul's own API is what is registered, with its own key.
 * @param apiUrl where that listens
 * @throws StartError if managers could not reach it.
 */
export function registerItself(
  keys: KeyRing,
  apiUrl: string,
  { options, clock, registerIn }: DutyOptions,
): Duty {
  const { name, version, pulse, listen, stateDirectory, log } = options;
  const url = options.advertiseUrl ?? apiUrl;
  if (!options.advertiseUrl) {
    checkClientUrl(url, `--listen ${listen.host} without --advertise-url`);
    if (isLoopback(url) && !pulse.split(",").every(isLoopback)) throw new StartError(ONLY_HERE);
  }
  const register = registerIn(stateDirectory, log);
  const registration = register(
    {
      name,
      type: DOWNLOAD_CLIENT_TYPE,
      kind: "haul",
      apiUrl: url,
      healthUrl: `${url.replace(/\/+$/, "")}/health`,
      ...(version && { version }),
    },
    credentialsOf(keys.current),
    { status: "online" },
  );
  registration.subscribe(() => keys.acknowledge(registration.acknowledged?.apiKey ?? ""));
  return {
    services: () => new Map([[name, { registration, client: undefined }]]),
    async rotate({ overlapMs }, signal) {
      await keys.rotate(overlapMs);
      registration.update({ credentials: credentialsOf(keys.current) });
      return { what: "api-key", pulse: await isTold(registration, keys.current, clock, signal) };
    },
    stop: () => registration.close(),
  };
}

const ONLY_HERE =
  "Pulse is on another host, but Haul listens on this one only, where managers cannot reach it: give --listen with an address of this host and --advertise-url, or front a download client with --kind and --url";

function isLoopback(text: string): boolean {
  const address = text.trim();
  const full = address.includes("://") ? address : `http://${address}`;
  return URL.canParse(full) && isLoopbackHost(hostOf(new URL(full)));
}

function credentialsOf(key: string): ServiceCredentials {
  return { username: "", apiKey: key, state: "verified" };
}
