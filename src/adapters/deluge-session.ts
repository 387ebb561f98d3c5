import { type ClientTarget, ProbeError } from "./adapter.js";
import {
  askDeluge,
  type DelugeReply,
  isDeluge,
  NOT_AUTHENTICATED,
  notDeluge,
} from "./deluge-rpc.js";
import type { HttpCaller } from "./http-call.js";

/** Calls to the web UI of a Deluge by one who is logged in. */
export interface DelugeSession {
  /** Logs in if there is no session that holds, at most once. */
  ask(method: string, params: readonly unknown[], signal: AbortSignal): Promise<DelugeReply>;
}

/**
 * A session is kept as long as it holds. The password is sent only to what has shown
 * just before to be the web UI of a Deluge.
 * @param onLogIn called when a session begins: all that was known may be over
 */
export function createDelugeSession(
  target: ClientTarget,
  call: HttpCaller,
  onLogIn: () => void,
): DelugeSession {
  const url = target.url.replace(/\/+$/, "");
  let cookie: string | undefined;

  async function logIn(signal: AbortSignal): Promise<void> {
    cookie = undefined;
    if (!(await isDeluge(url, call, signal))) throw notDeluge();
    if (!target.secret) throw passwordMissing();
    const attempt = { method: "auth.login", params: [target.secret] };
    const { result, cookies } = await askDeluge(url, attempt, call, signal);
    if (result === false) throw refused();
    if (result !== true || !cookies) throw notDeluge();
    cookie = cookies;
    onLogIn();
  }

  return {
    async ask(method, params, signal) {
      const ask = () => askDeluge(url, { method, params, cookie }, call, signal);
      if (cookie) {
        const reply = await ask();
        if (!isOver(reply)) return reply;
      }
      await logIn(signal);
      const reply = await ask();
      if (isOver(reply)) throw refusedSession();
      return reply;
    },
  };
}

function isOver({ error }: DelugeReply): boolean {
  return error?.code === NOT_AUTHENTICATED;
}

function passwordMissing(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "Deluge wants the password of its web UI: give it",
  );
}

function refused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "Deluge refuses the password: give that of its web UI, not of its daemon",
  );
}

function refusedSession(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "Deluge accepts the login but not its session: give its own URL rather than a proxy's",
  );
}
