// A service that owns a qBittorrent: told to, it gives it another password, and then hands
// that over to Pulse. Says when it did what.
import { createInterface } from "node:readline";
import { startRegistration } from "../../../src/client/index.js";
import { monotonicNow } from "../members.js";
import type { RotatingServiceConfig } from "../rotating-service.js";
import { say } from "../say.js";

const config = JSON.parse(process.argv[2] ?? "") as RotatingServiceConfig;
const { pulse, token, name, url, username } = config;
const cookie = await logIn(config.password);
// It bans an address after 5 bad log-ins in a row; how many there are is for the test to say.
await setPreferences({ web_ui_max_auth_fail_count: 1_000_000 });

const registration = startRegistration({
  pulse,
  token,
  service: { name, type: "download-client", kind: "qbittorrent", apiUrl: url },
  credentials: { username, apiKey: config.password, state: "verified" },
  identity: { instanceId: name, instanceSecret: `the secret of ${name}` },
});
registration.subscribe(({ type }) => say({ msg: `service.${type}` }));

createInterface({ input: process.stdin }).on("line", (password) => void rotate(password));

async function rotate(password: string): Promise<void> {
  const askedAt = monotonicNow();
  await setPreferences({ web_ui_password: password });
  const changedAt = monotonicNow();
  registration.update({ credentials: { apiKey: password, state: "verified" } });
  say({ msg: "service.rotated", askedAt, changedAt });
}

async function logIn(password: string): Promise<string> {
  const body = new URLSearchParams({ username, password });
  const response = await fetch(`${url}/api/v2/auth/login`, { method: "POST", body });
  return response.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
}

async function setPreferences(preferences: object): Promise<void> {
  const response = await fetch(`${url}/api/v2/app/setPreferences`, {
    method: "POST",
    headers: { cookie },
    body: new URLSearchParams({ json: JSON.stringify(preferences) }),
  });
  if (!response.ok) throw new Error(`setPreferences: ${response.status}`);
}
