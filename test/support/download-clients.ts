import { type ChildProcess, spawn } from "node:child_process";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { eventually } from "./eventually.js";

/** A real download client in a process of its own. */
export interface RealClient {
  readonly url: string;
  readonly pid: number;
  /** SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
}

/** An aria2 with that RPC secret. */
export async function startAria2(
  directory: string,
  port: number,
  secret: string,
): Promise<RealClient> {
  const config = join(directory, "real-aria2.conf");
  await writeFile(
    config,
    [
      "enable-rpc=true",
      "rpc-listen-all=false",
      `rpc-listen-port=${port}`,
      `rpc-secret=${secret}`,
      `dir=${directory}`,
      "enable-dht=false",
      "enable-dht6=false",
      `stop-with-process=${process.pid}`,
    ].join("\n"),
  );
  return started(spawn("aria2c", [`--conf-path=${config}`], { stdio: "ignore" }), port);
}

/** A qBittorrent with that one user, whose profile is kept in `directory`. */
export async function startQBittorrent(
  directory: string,
  port: number,
  user: { readonly username: string; readonly password: string },
): Promise<RealClient> {
  const profile = join(directory, "real-qbittorrent");
  const config = join(profile, "qBittorrent", "config");
  await mkdir(config, { recursive: true });
  await writeFile(
    join(config, "qBittorrent.conf"),
    [
      "[LegalNotice]",
      "Accepted=true",
      "[BitTorrent]",
      "Session\\DHTEnabled=false",
      "Session\\LSDEnabled=false",
      "Session\\Interface=lo",
      "Session\\InterfaceName=lo",
      "Session\\InterfaceAddress=127.0.0.1",
      `Session\\DefaultSavePath=${profile}`,
      "[Preferences]",
      "WebUI\\Address=127.0.0.1",
      `WebUI\\Port=${port}`,
      `WebUI\\Username=${user.username}`,
      `WebUI\\Password_PBKDF2="${passwordHash(user.password)}"`,
      "WebUI\\LocalHostAuth=true",
      "WebUI\\UseUPnP=false",
    ].join("\n"),
  );
  const child = spawn("qbittorrent-nox", [`--profile=${profile}`], { stdio: "ignore" });
  return started(child, port);
}

/** How often qBittorrent has refused a login, by its own log. */
export async function refusedLogins(directory: string): Promise<number> {
  const logs = join(directory, "real-qbittorrent", "qBittorrent", "data", "logs");
  const log = await readFile(join(logs, "qbittorrent.log"), "utf8");
  return log.split("WebAPI login failure").length - 1;
}

/** Logs in with nothing but what an entry says, as a manager does, and returns the version. */
export async function versionByEntry(entry: DownloadClient): Promise<string> {
  const { kind, host, port, username, password, useSsl, urlBase } = entry;
  const base = `${useSsl ? "https" : "http"}://${host}:${port}${urlBase}`;
  if (kind === "aria2") {
    const params = [`token:${password}`];
    const body = JSON.stringify({ jsonrpc: "2.0", id: "1", method: "aria2.getVersion", params });
    const response = await fetch(`${base}/jsonrpc`, { method: "POST", body });
    const { result } = (await response.json()) as { result: { version: string } };
    return result.version;
  }
  if (kind === "haul") {
    const status = await fetch(`${base}/api/status`, { headers: { "x-api-key": password } });
    if (!status.ok) throw new Error(`the login failed: ${status.status}`);
    return ((await status.json()) as { version: string }).version;
  }
  const body = new URLSearchParams({ username, password });
  const login = await fetch(`${base}/api/v2/auth/login`, { method: "POST", body });
  const cookie = login.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
  const version = await fetch(`${base}/api/v2/app/version`, { headers: { cookie } });
  if (!version.ok) throw new Error(`the login failed: ${version.status}`);
  return (await version.text()).replace(/^v/, "");
}

async function started(child: ChildProcess, port: number): Promise<RealClient> {
  const url = `http://127.0.0.1:${port}`;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await eventually(() => fetch(url), 15_000);
  return {
    url,
    pid: child.pid ?? 0,
    async kill() {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/** The form in which qBittorrent keeps a password. */
function passwordHash(password: string): string {
  const salt = randomBytes(16);
  const key = pbkdf2Sync(password, salt, 100_000, 64, "sha512");
  return `@ByteArray(${salt.toString("base64")}:${key.toString("base64")})`;
}
