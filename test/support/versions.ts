import { watchDownloadClients } from "../../src/client/index.js";
import type { Members } from "./members.js";
import type { Stack } from "./stack.js";

// A service in versions of which each differs from the others in all that a service owns.

/** What it is registered with. */
export function described(version: number) {
  const apiUrl = `http://10.0.0.${version}:${8_000 + version}/v${version}`;
  const service = { type: "download-client", kind: "qbittorrent", apiUrl, version: `${version}` };
  return { service, apiKey: `the key of version ${version}` };
}

/** Has a member of that name become that version. */
export function update(members: Members, member: string, version: number): void {
  const { service, apiKey } = described(version);
  const change = { service: { name: member, ...service }, credentials: { apiKey } };
  members.command({ do: "update", member, change });
}

/** What managers see of it. */
export function seenAs(version: number) {
  return {
    host: `10.0.0.${version}`,
    port: 8_000 + version,
    urlBase: `/v${version}`,
    version: `${version}`,
    password: `the key of version ${version}`,
  };
}

/** Versions of the entry of that name, as a manager is told of them; the same one counts once. */
export function watchVersions(stack: Stack, name: string) {
  const watch = watchDownloadClients({ pulse: stack.url, token: () => stack.token() });
  const versions: number[] = [];
  const reading = (async () => {
    for await (const event of watch) {
      if (event.type !== "put" || event.item.name !== name) continue;
      const version = Number(event.item.version);
      if (versions.at(-1) !== version) versions.push(version);
    }
  })();
  const close = async () => {
    await watch.close();
    await reading;
  };
  return { versions, close };
}
