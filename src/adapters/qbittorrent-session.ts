import { type ClientTarget, ProbeError } from "./adapter.js";
import type { HttpAnswer, HttpCaller } from "./http-call.js";
import { text } from "./json.js";
import { requireVersion } from "./version.js";

/** The first version with this API. */
const MIN_VERSION = "4.1";

/** How we are let in. No cookie: the client has set none. */
interface Session {
  readonly cookie: string;
  /** `open`: it lets in whoever calls from our address and looks at no password. */
  readonly by: "login" | "open";
}

/** What may be asked of a qBittorrent, in the session that we have with it. */
export interface QBittorrentSession {
  /** Whether it asked for the login when the session began. */
  readonly asksForLogin: boolean;
  /** Whether the session is older than the newest `enter`. */
  readonly isKept: boolean;
  /**
   * Sees to it that there is a session that holds.
   * @param onNew there was none, and one is about to begin
   * @returns the version
   * @throws ProbeError if we are not let in, or it is none, or too old
   */
  enter(signal: AbortSignal, onNew: () => void): Promise<string>;
  get(path: string, signal: AbortSignal, maxBytes?: number): Promise<HttpAnswer>;
  post(path: string, body: URLSearchParams | FormData, signal: AbortSignal): Promise<HttpAnswer>;
}

/**
 * qBittorrent bans an address after a few bad logins, so a session is kept as long as
 * it holds, and the password is sent only to what has shown to be a qBittorrent that
 * wants one.
 */
export function createQBittorrentSession(
  target: ClientTarget,
  call: HttpCaller,
): QBittorrentSession {
  const base = `${target.url.replace(/\/+$/, "")}/api/v2`;
  let session: Session | undefined;
  let isKept = false;

  const headers = (): Record<string, string> => (session?.cookie ? { cookie: session.cookie } : {});
  const get = (path: string, signal: AbortSignal, maxBytes?: number) =>
    call(`${base}${path}`, { headers: headers(), ...(maxBytes && { maxBytes }) }, signal);

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

  return {
    get asksForLogin() {
      return session?.by === "login";
    },
    get isKept() {
      return isKept;
    },
    async enter(signal, onNew) {
      isKept = true;
      let version = await askVersion(signal);
      if (version === undefined) {
        // The session is over: a restart of qBittorrent, or an hour without a word.
        session = undefined;
        isKept = false;
        onNew();
        await logIn(signal);
        version = await askVersion(signal);
      }
      if (version === undefined) throw refusedSession();
      requireVersion("qBittorrent", version, MIN_VERSION);
      return version;
    },
    get,
    post: (path, body, signal) =>
      call(`${base}${path}`, { method: "POST", headers: headers(), body }, signal),
  };
}

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

export function notQBittorrent(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    `what answers there is not qBittorrent ${MIN_VERSION} or newer: check the URL`,
  );
}
