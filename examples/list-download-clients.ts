// Finds the download clients that can be used now and logs in to each, with what Pulse says and nothing else.
//
//   PULSE_TOKEN=$(cat ~/.local/state/pulse/tokens/service.token) npx tsx examples/list-download-clients.ts
import { connectPulse } from "pulse-registry";
import { Availability, type DownloadClient } from "pulse-registry/gen/pulse/v1/download_client_pb";

const pulse = connectPulse({
  pulse: process.env.PULSE_URL ?? "http://127.0.0.1:9696",
  token: process.env.PULSE_TOKEN ?? "",
});
const { downloadClients } = await pulse.downloadClients.listDownloadClients({
  availabilities: [Availability.ONLINE],
});
for (const client of downloadClients) console.log(`${client.name}: ${await logIn(client)}`);
pulse.close();

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
      return `${client.kind} at ${url}, user ${JSON.stringify(client.username)}`;
  }
}
