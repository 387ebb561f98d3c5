// A media manager in small: it keeps its download clients in step with Pulse, also
// while Pulse is away, and logs in to each that can be used.
//
//   PULSE_TOKEN=$(cat ~/.local/state/pulse/tokens/service.token) npx tsx examples/pilot.ts
import { type DownloadClient, watchDownloadClients } from "pulse-registry";
import { Availability } from "pulse-registry/gen/pulse/v1/download_client_pb";

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());

const watch = watchDownloadClients({
  pulse: process.env.PULSE_URL ?? "http://127.0.0.1:9696",
  token: process.env.PULSE_TOKEN ?? "",
  filter: { protocol: "torrent", enabled: true },
  cache: { file: process.env.CACHE_FILE ?? ".pilot-clients" }, // so that a start needs no Pulse
  signal: stopping.signal,
});

for await (const event of watch) {
  if (event.type === "put") await use(event.item, event.reason);
  else if (event.type === "delete") console.log(`${event.item.name} is gone: ${event.reason}`);
  else if (event.type === "synced")
    console.log(`in step, ${watch.current().items.length} client(s)`);
  else console.log(`${event.type}: ${event.error.message}`);
}
console.log("done");

async function use(client: DownloadClient, reason: string): Promise<void> {
  const isUsable = client.availability !== Availability.OFFLINE;
  const state = isUsable
    ? await logIn(client).catch(String)
    : `offline, ${client.availabilityReason}`;
  console.log(`${client.name} (${reason}): ${state}`);
}

async function logIn(client: DownloadClient): Promise<string> {
  const host = client.host.includes(":") ? `[${client.host}]` : client.host;
  const url = `${client.useSsl ? "https" : "http"}://${host}:${client.port}${client.urlBase}`;
  switch (client.kind) {
    case "aria2": {
      const params = [`token:${client.password}`];
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "aria2.getVersion", params });
      const response = await fetch(`${url}/jsonrpc`, { method: "POST", body });
      return response.ok ? `logged in to aria2 at ${url}` : `refused (${response.status})`;
    }
    case "qbittorrent": {
      const body = new URLSearchParams({ username: client.username, password: client.password });
      const response = await fetch(`${url}/api/v2/auth/login`, { method: "POST", body });
      return response.headers.has("set-cookie") ? `logged in to qBittorrent at ${url}` : "refused";
    }
    default:
      return `${client.kind} at ${url}`;
  }
}
