import {
  type Adapter,
  type ClientKind,
  type ClientTarget,
  type Probe,
  ProbeError,
} from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { isObject, parseJson, text } from "./json.js";

/** What can be a key of Haul's and fits into a header. */
const KEY = /^[\x21-\x7e]{1,512}$/;

/**
 * A Haul by its own API. The key is sent only to what has said on the open
 * `/health`, as Haul does, that it is well. It has no load to tell.
 */
function createHaulAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const base = target.url.replace(/\/+$/, "");
  const { secret } = target;

  async function checkHealth(signal: AbortSignal): Promise<void> {
    const { status, text } = await call(`${base}/health`, {}, signal);
    const health = parseJson(text);
    if (status !== 200 || !isObject(health) || health.status !== "ok") throw notHaul();
  }

  async function askStatus(key: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const answer = await call(`${base}/api/status`, { headers: { "x-api-key": key } }, signal);
    const status = parseJson(answer.text);
    if (!isObject(status)) throw notHaul();
    if (answer.status === 401) throw refused();
    const isHaul = text(status.instanceId) !== undefined && isObject(status.pulse);
    if (answer.status !== 200 || !isHaul) throw notHaul();
    return status;
  }

  return {
    async probe(signal): Promise<Probe> {
      await checkHealth(signal);
      if (!secret) throw keyMissing();
      if (!KEY.test(secret)) throw refused();
      const version = text((await askStatus(secret, signal)).version) ?? "";
      return {
        outcome: "ok",
        message: `Haul${version && ` ${version}`} answers`,
        version,
        load: {},
        credentials: "accepted",
      };
    },
  };
}

export const HAUL: ClientKind = {
  createAdapter: createHaulAdapter,
  async recognise(url, call, signal) {
    const { status, text } = await call(`${url}/api/status`, {}, signal);
    const answer = parseJson(text);
    return status === 401 && isObject(answer) && String(answer.error).includes("Haul's API key");
  },
};

const WHERE = "it is in the file api.key of Haul's state directory";

function refused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    `Haul refuses the API key: give the right one, ${WHERE}`,
  );
}

function keyMissing(): ProbeError {
  return new ProbeError("authentication-failed", `Haul wants its API key: ${WHERE}`);
}

function notHaul(): ProbeError {
  return new ProbeError("wrong-kind", "what answers there is not Haul: check the URL");
}
