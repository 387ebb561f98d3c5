import {
  type Adapter,
  type ClientKind,
  type ClientTarget,
  type Probe,
  ProbeError,
} from "./adapter.js";
import type { HttpAnswer, HttpCaller } from "./http-call.js";
import { text } from "./json.js";
import { createSyncedLoad, MAX_SYNC_BYTES } from "./qbittorrent-load.js";
import { requireVersion } from "./version.js";

/** The first version with this API. */
const MIN_VERSION = "4.1";

/** How we are let in. No cookie: the client has set none. */
interface Session {
  readonly cookie: string;
  /** `open`: it lets in whoever calls from our address and looks at no password. */
  readonly by: "login" | "open";
}

/**
 * qBittorrent by its Web API. It bans an address after a few bad logins, so a
 * session is kept as long as it holds, and the password is sent only to what has
 * shown to be a qBittorrent that wants one.
 */
function createQBittorrentAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const base = `${target.url.replace(/\/+$/, "")}/api/v2`;
  const synced = createSyncedLoad();
  let session: Session | undefined;

  async function get(path: string, signal: AbortSignal, maxBytes?: number): Promise<HttpAnswer> {
    const cookie = session?.cookie;
    const headers: Record<string, string> = cookie ? { cookie } : {};
    return call(`${base}${path}`, { headers, ...(maxBytes && { maxBytes }) }, signal);
  }

  /** The version if we are let in, undefined if we are not. */
  async function askVersion(signal: AbortSignal): Promise<string | undefined> {
    const answer = await get("/app/version", signal);
    if (isRefusal(answer)) return undefined;
    const version = text(answer.text.trim());
    if (answer.status !== 200 || !version || !/^v?\d+\.\d/.test(version)) throw notQBittorrent();
    // Let in without a session: keep the one that came with this, or each probe makes another.
    session ??= { cookie: answer.cookies, by: "open" };
    return version.replace(/^v/, "");
  }

  async function logIn(signal: AbortSignal): Promise<void> {
    const { username, secret } = target;
    if (!username && !secret)
      throw new ProbeError(
        "authentication-failed",
        "qBittorrent wants a login: give its user name and password",
      );
    const body = new URLSearchParams({ username: username ?? "", password: secret ?? "" });
    const answer = await call(`${base}/auth/login`, { method: "POST", body }, signal);
    if (/banned/i.test(answer.text) && isRefusal(answer)) throw banned();
    // 5.2 refuses with 401 and accepts with 204; those before say it in the body.
    if (isRefusal(answer) || answer.text.startsWith("Fails")) throw refused();
    const isAccepted = answer.status === 204 || answer.text.trim() === "Ok.";
    if (!isAccepted || !answer.cookies) throw notQBittorrent();
    session = { cookie: answer.cookies, by: "login" };
  }

  /** The version, with a session that holds. */
  async function enter(signal: AbortSignal): Promise<string> {
    const version = await askVersion(signal);
    if (version !== undefined) return version;
    // The session is over: a restart of qBittorrent, or an hour without a word.
    session = undefined;
    synced.forget();
    await logIn(signal);
    const after = await askVersion(signal);
    if (after === undefined) throw refusedSession();
    return after;
  }

  return {
    async probe(signal): Promise<Probe> {
      const version = await enter(signal);
      requireVersion("qBittorrent", version, MIN_VERSION);
      const answer = await get(`/sync/maindata?rid=${synced.rid}`, signal, MAX_SYNC_BYTES);
      if (answer.status !== 200 || !synced.take(answer.text)) throw notQBittorrent();
      return {
        outcome: "ok",
        message: `qBittorrent ${version} answers`,
        version,
        load: synced.load(),
        credentials: session?.by === "login" ? "accepted" : "not-asked",
      };
    },
    /** Sessions stay, and with them ours. */
    async changeSecret(next, signal): Promise<void> {
      requireVersion("qBittorrent", await enter(signal), MIN_VERSION);
      const body = new URLSearchParams({ json: JSON.stringify({ web_ui_password: next }) });
      const headers: Record<string, string> = session?.cookie ? { cookie: session.cookie } : {};
      const request = { method: "POST", headers, body } as const;
      const answer = await call(`${base}/app/setPreferences`, request, signal);
      if (answer.status !== 200)
        throw new ProbeError("unreachable", `it answers HTTP ${answer.status} to a new password`);
    },
  };
}

export const QBITTORRENT: ClientKind = {
  createAdapter: createQBittorrentAdapter,
  async recognise(url, call, signal) {
    const { status, text } = await call(`${url}/api/v2/app/version`, {}, signal);
    // Who is not let in gets one word; 5.x says nothing at all where it bans.
    return status === 200 ? /^v\d+\.\d/.test(text) : status === 403 && text === "Forbidden";
  },
};

function isRefusal({ status }: HttpAnswer): boolean {
  return status === 401 || status === 403;
}

function refused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "qBittorrent refuses the user name or password: check both against its Web UI settings",
  );
}

function banned(): ProbeError {
  return new ProbeError(
    "banned",
    "qBittorrent has banned this address after too many failed logins: restart qBittorrent, or wait until the ban ends, and check user name and password",
  );
}

function refusedSession(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "qBittorrent accepts the login but not its session: give its own URL rather than a proxy's",
  );
}

function notQBittorrent(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    `what answers there is not qBittorrent ${MIN_VERSION} or newer: check the URL`,
  );
}
