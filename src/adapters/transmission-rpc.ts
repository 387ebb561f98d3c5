import { type ClientTarget, ProbeError } from "./adapter.js";
import { basicLogin } from "./basic-login.js";
import type { HttpAnswer, HttpCaller } from "./http-call.js";
import { isObject, parseJson } from "./json.js";

const SESSION_ID = "x-transmission-session-id";

/** What Transmission makes of a request. */
export interface RpcReply {
  readonly isSuccess: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** How we are let in, as long as Transmission knows the session: two hours, or until it ends. */
interface Session {
  readonly id: string;
  /** Absent: it asks for none. */
  readonly login?: string;
}

export interface TransmissionRpc {
  /** Whether it asks for a login, as its last answer was given. */
  readonly asksForLogin: boolean;
  /** Names the session: what was learnt in another one may be no longer so. */
  readonly sessionId: string | undefined;
  /** @throws ProbeError if it lets us not in, or is none. */
  ask(
    method: string,
    args: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<RpcReply>;
}

/**
 * The RPC of Transmission, which wants the login with each call. So it is asked
 * without one first in each session, and gets it only if that has shown a Transmission
 * that wants it: to Transmission a failed login, until the next good one.
 */
export function createTransmissionRpc(target: ClientTarget, call: HttpCaller): TransmissionRpc {
  let session: Session | undefined;

  const post = (body: string, signal: AbortSignal, by: Partial<Session>, maxBytes?: number) =>
    postTo(target.url, call, body, signal, by, maxBytes);

  async function enter(signal: AbortSignal): Promise<Session> {
    const open = await post("{}", signal, {});
    if (open.status !== 401) return { id: sessionIdOf(open) };
    if (!isLoginWanted(open)) throw notTransmission();
    if (!target.username && !target.secret) throw loginMissing();
    const login = basicLogin(target);
    return { id: sessionIdOf(await post("{}", signal, { login })), login };
  }

  async function askInSession(
    body: string,
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<HttpAnswer> {
    if (session) {
      const answer = await post(body, signal, session, maxBytes);
      // 409: the session is over.
      if (answer.status !== 409) return answer;
    }
    session = await enter(signal);
    return post(body, signal, session, maxBytes);
  }

  return {
    get asksForLogin() {
      return session?.login !== undefined;
    },
    get sessionId() {
      return session?.id;
    },
    async ask(method, args, signal, maxBytes) {
      try {
        const body = JSON.stringify({ method, arguments: args });
        return replyOf(await askInSession(body, signal, maxBytes));
      } catch (error) {
        // What answers there next may be another program: it gets no login from the start.
        session = undefined;
        throw error;
      }
    },
  };
}

/** Whether what answers at this URL is a Transmission, which lets us in or not. */
export async function recogniseTransmission(
  url: string,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await postTo(url, call, "{}", signal, {});
  return answer.status === 409 ? SESSION_ID in answer.headers : refusalOf(answer) !== undefined;
}

function postTo(
  base: string,
  call: HttpCaller,
  body: string,
  signal: AbortSignal,
  { id, login }: Partial<Session>,
  maxBytes?: number,
): Promise<HttpAnswer> {
  const headers = {
    "content-type": "application/json",
    ...(id && { [SESSION_ID]: id }),
    ...(login && { authorization: login }),
  };
  const url = `${base.replace(/\/+$/, "")}/transmission/rpc`;
  return call(url, { method: "POST", headers, body, ...(maxBytes && { maxBytes }) }, signal);
}

function sessionIdOf(answer: HttpAnswer): string {
  const id = answer.headers[SESSION_ID];
  if (answer.status === 409 && typeof id === "string" && /^[\x21-\x7e]{1,128}$/.test(id)) return id;
  throw refusalOf(answer) ?? notTransmission();
}

function replyOf(answer: HttpAnswer): RpcReply {
  const reply = answer.status === 200 ? parseJson(answer.text) : undefined;
  if (!isObject(reply) || typeof reply.result !== "string")
    throw refusalOf(answer) ?? notTransmission();
  return {
    isSuccess: reply.result === "success",
    arguments: isObject(reply.arguments) ? reply.arguments : {},
  };
}

function isLoginWanted({ status, headers }: HttpAnswer): boolean {
  return status === 401 && headers["www-authenticate"] === 'Basic realm="Transmission"';
}

/** How it says no; undefined if this is nothing that Transmission says. */
function refusalOf(answer: HttpAnswer): ProbeError | undefined {
  const { status, text } = answer;
  if (isLoginWanted(answer)) return refused();
  if (status === 421 && text.includes("rpc-host-whitelist")) return unknownHost();
  if (status !== 403 || !text.startsWith("<h1>403: Forbidden</h1>")) return undefined;
  if (text.includes("Too many")) return banned(`this address: ${RESTART}`);
  if (text.includes("IP Address")) return banned(`this address: ${LIST}`);
  // 4.1 does not say which of the two it is.
  return banned(`this address: ${LIST}, or, ${RESTART}`);
}

const LIST = "add it to Transmission's rpc-whitelist";
const RESTART =
  "after too many failed logins, restart Transmission, and check user name and password";

function banned(how: string): ProbeError {
  return new ProbeError("banned", `Transmission lets nobody in from ${how}`);
}

function refused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "Transmission refuses the user name or password: check both against its rpc-username and rpc-password",
  );
}

function loginMissing(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "Transmission wants a login: give its user name and password",
  );
}

function unknownHost(): ProbeError {
  return new ProbeError(
    "unreachable",
    "Transmission does not answer to the host name in its URL: add that to its rpc-host-whitelist, or give the URL with an IP address",
  );
}

export function notTransmission(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "what answers there is not Transmission: check the URL, without /transmission/rpc at its end",
  );
}
