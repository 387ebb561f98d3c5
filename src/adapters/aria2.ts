import {
  type Adapter,
  type ClientKind,
  type ClientTarget,
  type Probe,
  ProbeError,
} from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { count, isObject, parseJson, text } from "./json.js";
import { requireVersion } from "./version.js";

/** The first version whose RPC takes a secret. */
const MIN_VERSION = "1.18.4";
const UNAUTHORIZED = "Unauthorized";

/**
 * aria2 by JSON-RPC: the secret is the first parameter of every call, the first one
 * too, so what answers at its address gets it whether or not it is an aria2. Nothing
 * that an aria2 with a secret tells without it would show that it is one. It does not
 * tell how much space is free.
 */
function createAria2Adapter(target: ClientTarget, call: HttpCaller): Adapter {
  const url = `${target.url.replace(/\/+$/, "")}/jsonrpc`;
  const params = target.secret ? [`token:${target.secret}`] : [];

  async function rpc(method: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: "probe", method, params });
    const headers = { "content-type": "application/json" };
    const answer = await call(url, { method: "POST", headers, body }, signal);
    if ([401, 403].includes(answer.status)) throw refused(target);
    // Refusals come as HTTP 400 with a JSON body too.
    const reply = parseJson(answer.text);
    if (!isObject(reply) || reply.jsonrpc !== "2.0") throw notAria2();
    if (isObject(reply.error))
      throw reply.error.message === UNAUTHORIZED ? refused(target) : notAria2();
    if (!isObject(reply.result)) throw notAria2();
    return reply.result;
  }

  return {
    async probe(signal): Promise<Probe> {
      const version = text((await rpc("aria2.getVersion", signal)).version);
      if (version === undefined) throw notAria2();
      requireVersion("aria2", version, MIN_VERSION);
      const stat = await rpc("aria2.getGlobalStat", signal);
      return {
        outcome: "ok",
        message: `aria2 ${version} answers`,
        version,
        load: {
          ...count("active", stat.numActive),
          ...count("queued", stat.numWaiting),
          ...count("downloadBytesPerSecond", stat.downloadSpeed),
          ...count("uploadBytesPerSecond", stat.uploadSpeed),
        },
        credentials: "accepted",
      };
    },
  };
}

export const ARIA2: ClientKind = {
  createAdapter: createAria2Adapter,
  async recognise(url, call, signal) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: "who", method: "aria2.getVersion" });
    const headers = { "content-type": "application/json" };
    const reply = parseJson(
      (await call(`${url}/jsonrpc`, { method: "POST", headers, body }, signal)).text,
    );
    if (!isObject(reply) || reply.jsonrpc !== "2.0" || reply.id !== "who") return false;
    if (isObject(reply.error)) return reply.error.message === UNAUTHORIZED;
    return isObject(reply.result) && Array.isArray(reply.result.enabledFeatures);
  },
};

function refused(target: ClientTarget): ProbeError {
  return new ProbeError(
    "authentication-failed",
    target.secret
      ? "aria2 refuses the secret: give the value of its rpc-secret"
      : "aria2 wants a secret: give the value of its rpc-secret",
  );
}

function notAria2(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "what answers there is not aria2: check the URL, without /jsonrpc at its end",
  );
}
