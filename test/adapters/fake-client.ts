import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { onTestFinished } from "vitest";
import type { ClientTarget, Probe } from "../../src/adapters/adapter.js";
import { probeClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";

/** A probe that nobody cuts short. */
export function probeOnce(target: ClientTarget, clock = systemClock): Promise<Probe> {
  return probeClient(target, { clock, signal: new AbortController().signal });
}

/** Something on loopback that answers as a test likes, until the test ends. Returns its URL. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

export function reply(response: ServerResponse, status: number, body: string, cookie?: string) {
  if (cookie) response.setHeader("set-cookie", `${cookie}; HttpOnly; path=/; SameSite=Strict`);
  response.writeHead(status).end(body);
}

/** A qBittorrent as it shows to a caller, with what a test changes. */
export class FakeQBittorrent {
  version = "v4.5.2";
  password = "right";
  /** Lets in whoever calls, as with LocalHostAuth=false. */
  open = false;
  /** Bans after that many bad logins. */
  banAfter = 5;
  /** 5.2 answers logins with 204 and 401 instead of texts. */
  speaks: "4.5" | "5.2" = "4.5";
  data: (rid: number) => object = (rid) => ({ rid: rid + 1, full_update: rid === 0 });
  logins = 0;
  badLogins = 0;
  /** What it does when it is given another password; `die`: takes it, and says nothing. */
  onPassword: "take" | "ignore" | "die" = "take";
  /** How often that was. */
  passwords = 0;
  readonly paths: string[] = [];
  /** Bodies of what was to be added. */
  readonly added: string[] = [];
  /** Info hashes of the torrents that it has. */
  readonly torrents: string[] = [];
  onAdd: readonly [status: number, body: string] = [200, "Ok."];
  #session = 0;

  /** Forgets its sessions, as by a restart. */
  restart(): void {
    this.#session += 1;
  }

  readonly listener: RequestListener = async (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    this.paths.push(url.pathname + url.search);
    const body = await bodyOf(request);
    const cookie = `SID=s/${this.#session}+x`;
    if (url.pathname === "/api/v2/auth/login") return this.#login(body, cookie, response);
    if (!this.open && request.headers.cookie !== cookie) return reply(response, 403, "Forbidden");
    const fresh = this.open && !request.headers.cookie ? cookie : undefined;
    if (url.pathname === "/api/v2/app/version") return reply(response, 200, this.version, fresh);
    if (url.pathname === "/api/v2/app/setPreferences") return this.#set(body, response);
    if (url.pathname === "/api/v2/app/defaultSavePath") return reply(response, 200, "/my data");
    if (url.pathname === "/api/v2/torrents/add") {
      this.added.push(body);
      return reply(response, ...this.onAdd);
    }
    if (url.pathname === "/api/v2/torrents/info") {
      const found = this.torrents.filter((hash) => hash === url.searchParams.get("hashes"));
      return reply(response, 200, JSON.stringify(found.map((hash) => ({ hash }))));
    }
    if (url.pathname !== "/api/v2/sync/maindata") return reply(response, 404, "Not Found");
    const rid = Number(url.searchParams.get("rid"));
    return reply(response, 200, JSON.stringify(this.data(rid)));
  };

  #set(body: string, response: ServerResponse): void {
    const preferences = JSON.parse(new URLSearchParams(body).get("json") ?? "");
    if (this.onPassword !== "ignore") {
      this.password = preferences.web_ui_password;
      this.passwords += 1;
    }
    if (this.onPassword === "die") response.destroy();
    else reply(response, 200, "");
  }

  #login(body: string, cookie: string, response: ServerResponse): void {
    this.logins += 1;
    if (this.badLogins >= this.banAfter) {
      reply(response, 403, "Your IP address has been banned after too many failed …");
      return;
    }
    const isRight = this.open || new URLSearchParams(body).get("password") === this.password;
    if (!isRight) this.badLogins += 1;
    const { yes, no } = LOGIN_ANSWERS[this.speaks];
    const { status, body: text } = isRight ? yes : no;
    reply(response, status, text, isRight ? cookie : undefined);
  }
}

const LOGIN_ANSWERS = {
  "4.5": { yes: { status: 200, body: "Ok." }, no: { status: 200, body: "Fails." } },
  "5.2": { yes: { status: 204, body: "" }, no: { status: 401, body: "Unauthorized" } },
} as const;
