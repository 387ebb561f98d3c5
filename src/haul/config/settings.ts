import type { ClientSettings } from "../client-settings.js";
import type { ClientEntry } from "./client-schema.js";

/** What Haul is told of a client, from what the file says and the secret that it leads to. */
export function settingsOf(
  entry: ClientEntry,
  secret?: string,
  secretFile?: string,
): ClientSettings {
  return withoutUndefined({
    name: entry.name,
    kind: entry.kind,
    url: entry.url,
    username: entry.username,
    secret,
    secretFile,
    advertiseUrl: entry.advertise_url,
    advertiseHost: entry.advertise_host ?? entry.vpn?.container,
    vpnCheck: entry.vpn?.check,
    minFreeBytes: entry.min_free,
    stalledAfterMs: entry.stalled_after,
    downloadDirectory: entry.download_directory,
    pathMappings: entry.path_mappings?.map(({ client, manager }) => ({
      clientPath: client,
      managerPath: manager,
    })),
  });
}

type Given<Value> = {
  [Key in keyof Value as undefined extends Value[Key] ? never : Key]: Value[Key];
} & {
  [Key in keyof Value as undefined extends Value[Key] ? Key : never]?: Exclude<
    Value[Key],
    undefined
  >;
};

/** Without the keys that have no value: absent is what they are. */
export function withoutUndefined<Value extends object>(value: Value): Given<Value> {
  const given = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(given) as Given<Value>;
}
