import { type Adapter, type ClientKind, type ClientTarget, ProbeError } from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { infoHash } from "./info-hash.js";
import { count, isObject, parseJson, path, text } from "./json.js";
import { requireVersion } from "./version.js";

/** The first version whose RPC takes a secret. */
const MIN_VERSION = "1.18.4";
const UNAUTHORIZED = "Unauthorized";
/** As many as aria2 may be asked for at once; it keeps as many that have ended. */
const MAX_LIST = 1_000;
/** Each of them is a gid, an info hash and a status. */
const MAX_LIST_BYTES = MAX_LIST * 256;

/**
 * aria2 by JSON-RPC: the secret is the first parameter of every call, the first one
 * too, so what answers at its address gets it whether or not it is an aria2. Nothing
 * that an aria2 with a secret tells without it would show that it is one. It does not
 * tell how much space is free.
 */
function createAria2Adapter(target: ClientTarget, call: HttpCaller): Adapter {
  const url = `${target.url.replace(/\/+$/, "")}/jsonrpc`;
  const secrets = target.secret ? [`token:${target.secret}`] : [];
  /** As it was told at the first probe since it did not answer. */
  let downloadDirectory: string | undefined;

  /** The result; undefined if it says that it could not. */
  async function rpc(
    method: string,
    params: readonly unknown[],
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<unknown> {
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: "probe",
      method: `aria2.${method}`,
      params: [...secrets, ...params],
    });
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body, ...(maxBytes && { maxBytes }) } as const;
    const answer = await call(url, request, signal);
    if ([401, 403].includes(answer.status)) throw refused(target);
    // Refusals come as HTTP 400 with a JSON body too.
    const reply = parseJson(answer.text);
    if (!isObject(reply) || reply.jsonrpc !== "2.0") throw notAria2();
    if (isObject(reply.error) && reply.error.message === UNAUTHORIZED) throw refused(target);
    return reply.result;
  }

  async function ask(method: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const result = await rpc(method, [], signal);
    if (!isObject(result)) throw notAria2();
    return result;
  }

  async function list(
    method: string,
    range: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly unknown[]> {
    const keys = ["gid", "infoHash", "status"];
    const found = await rpc(method, [...range, keys], signal, MAX_LIST_BYTES);
    return Array.isArray(found) ? found : [];
  }

  /** The id of a torrent that it has already. */
  async function find(hash: string, signal: AbortSignal): Promise<string | undefined> {
    const downloads = [
      ...(await list("tellActive", [], signal)),
      ...(await list("tellWaiting", [0, MAX_LIST], signal)),
      ...(await list("tellStopped", [0, MAX_LIST], signal)),
    ];
    const known = downloads.find(
      (each) =>
        isObject(each) &&
        each.infoHash === hash &&
        each.status !== "error" &&
        each.status !== "removed",
    );
    return isObject(known) ? text(known.gid) : undefined;
  }

  return {
    async probe(signal) {
      try {
        const version = text((await ask("getVersion", signal)).version);
        if (version === undefined) throw notAria2();
        requireVersion("aria2", version, MIN_VERSION);
        const stat = await ask("getGlobalStat", signal);
        downloadDirectory ??= path((await ask("getGlobalOption", signal)).dir);
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
          ...(downloadDirectory && { downloadDirectory }),
          credentials: "accepted",
        };
      } catch (error) {
        downloadDirectory = undefined; // it may be started anew with another
        throw error;
      }
    },
    /** It knows no categories. */
    async add({ content, directory }, signal) {
      // It would take a torrent twice, and the second one would end with an error soon after.
      const hash = infoHash(content);
      const known = hash && (await find(hash, signal));
      if (known) return known;
      const options = directory ? { dir: directory } : {};
      const torrent = Buffer.from(content).toString("base64");
      const gid = text(await rpc("addTorrent", [torrent, [], options], signal));
      if (gid === undefined) throw notTaken();
      return gid;
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

function notTaken(): ProbeError {
  return new ProbeError(
    "unreachable",
    "aria2 does not take the torrent: check that the file is whole, and not too large for its rpc-max-request-size",
  );
}
