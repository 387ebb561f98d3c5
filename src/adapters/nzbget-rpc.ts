import { type ClientTarget, ProbeError } from "./adapter.js";
import { basicLogin } from "./basic-login.js";
import type { HttpAnswer, HttpCaller } from "./http-call.js";
import { isObject, parseJson } from "./json.js";

/** How we are let in, until something fails. */
interface Session {
  /** Absent: it asks for none. */
  readonly login?: string;
}

export interface NzbgetRpc {
  /** Whether it asks for a login, as its last answer was given. */
  readonly asksForLogin: boolean;
  /**
   * What the method results in.
   * @throws ProbeError if it does not let us in, or is none.
   */
  ask(
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<unknown>;
}

/**
 * The JSON-RPC of NZBGet, which wants the login with each call. It is asked without
 * one until that has shown an NZBGet that wants it, which it takes for no failed login.
 */
export function createNzbgetRpc(target: ClientTarget, call: HttpCaller): NzbgetRpc {
  let session: Session = {};

  async function askWithLogin(
    body: string,
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<HttpAnswer> {
    const answer = await postTo(target.url, call, body, signal, session, maxBytes);
    if (session.login || !isLoginWanted(answer)) return answer;
    if (!target.username && !target.secret) throw loginMissing();
    session = { login: basicLogin(target) };
    return postTo(target.url, call, body, signal, session, maxBytes);
  }

  return {
    get asksForLogin() {
      return session.login !== undefined;
    },
    async ask(method, params, signal, maxBytes) {
      try {
        const body = JSON.stringify({ method, params });
        return resultOf(await askWithLogin(body, signal, maxBytes));
      } catch (error) {
        // What answers there next may be another program: it gets no login from the start.
        session = {};
        throw error;
      }
    },
  };
}

/** Whether what answers at this URL is an NZBGet, which lets us in or not. */
export async function recogniseNzbget(
  url: string,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await postTo(url, call, '{"method":"version","params":[]}', signal, {});
  return isLoginWanted(answer) || typeof resultOf(answer) === "string";
}

function postTo(
  base: string,
  call: HttpCaller,
  body: string,
  signal: AbortSignal,
  { login }: Session,
  maxBytes?: number,
): Promise<HttpAnswer> {
  const headers = {
    "content-type": "application/json",
    ...(login && { authorization: login }),
  };
  const url = `${base.replace(/\/+$/, "")}/jsonrpc`;
  return call(url, { method: "POST", headers, body, ...(maxBytes && { maxBytes }) }, signal);
}

/** By either of two headers: proxies replace the one, and FormAuth leaves out the other. */
function isLoginWanted({ status, headers }: HttpAnswer): boolean {
  const isNzbget =
    headers["www-authenticate"] === 'Basic realm="NZBGet"' ||
    String(headers.server).startsWith("nzbget-");
  return status === 401 && isNzbget;
}

function resultOf(answer: HttpAnswer): unknown {
  if (isLoginWanted(answer)) throw refused();
  const reply = answer.status === 200 ? parseJson(answer.text) : undefined;
  // The version is that of JSON-RPC, and not every program has this one.
  if (!isObject(reply) || reply.version !== "1.1") throw notNzbget();
  if (isObject(reply.error) && reply.error.code === 401) throw notAllowed();
  if (reply.result === undefined) throw notNzbget();
  return reply.result;
}

function refused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "NZBGet refuses the user name or password: check both against its ControlUsername and ControlPassword",
  );
}

function loginMissing(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "NZBGet wants a login: give its ControlUsername and ControlPassword",
  );
}

function notAllowed(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "NZBGet does not let this user do that: give its ControlUsername and ControlPassword",
  );
}

export function notNzbget(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "what answers there is not NZBGet: check the URL, without /jsonrpc at its end",
  );
}
