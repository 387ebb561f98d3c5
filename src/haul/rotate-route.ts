import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { hostOf } from "../lib/host.js";
import { answer } from "./api-answer.js";
import { type Rotate, type RotateRequest, RotationFailed, RotationRefused } from "./rotation.js";

/** How long an old key is accepted, if the request does not say. */
export const DEFAULT_OVERLAP_MS = 60_000;
const MAX_OVERLAP_MS = 7 * 24 * 3_600_000;
const MAX_BODY_BYTES = 1_024;

export interface RotateRouteOptions {
  /** Undefined while Haul is not ready for it. */
  readonly rotate: () => Rotate | undefined;
  /** Names by which a caller may know this host, besides `localhost` and addresses. */
  readonly hostNames: readonly string[];
}

/**
 * `POST /api/rotate-key` with `{"overlapMs": 60000}`, and `"client"` where there are several: 200 when Pulse has the new secret,
 * 202 when it gets it later, 409 if nothing was changed.
 *
 * No web page can cause this, even one that knows the key: it would have to send an
 * Origin, or JSON, which browsers ask leave for, or come by a name of its own for this host.
 */
export function createRotateRoute({ rotate, hostNames }: RotateRouteOptions) {
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const problem = problemOf(request, hostNames);
    if (problem) return answer(response, problem.status, { error: problem.error });
    const wanted = readRequest(await readBody(request));
    if (!wanted) return answer(response, 400, { error: BAD_BODY });
    const work = rotate();
    if (!work) return answer(response, 503, { error: "Haul is still starting: try again" });
    try {
      const rotated = await work(wanted, new AbortController().signal);
      answer(response, rotated.pulse === "told" ? 200 : 202, rotated);
    } catch (error) {
      if (error instanceof RotationRefused) return answer(response, 409, { error: error.message });
      if (error instanceof RotationFailed) return answer(response, 500, { error: error.message });
      throw error;
    }
  }
  return (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch((error) => {
      // Its message may hold anything; a code says whether the state directory cannot be written.
      const { code, name = "unknown" } = Object(error) as { code?: string; name?: string };
      if (!response.headersSent)
        answer(response, 500, { error: `the rotation failed (${code ?? name})` });
    });
  };
}

const BAD_BODY = `send JSON such as {"overlapMs": ${DEFAULT_OVERLAP_MS}}, from 1 ms to 7 days, and "client" with a name if there are several`;

function problemOf({ headers }: IncomingMessage, hostNames: readonly string[]) {
  if (headers.origin !== undefined)
    return { status: 403, error: "this is not for web pages: send no Origin" };
  if (!isOurs(headers.host ?? "", hostNames))
    return { status: 403, error: "the Host is none of this Haul's: call it by its address" };
  if (!/^application\/json *(;|$)/i.test(headers["content-type"] ?? ""))
    return { status: 415, error: "send content-type: application/json" };
  return undefined;
}

function isOurs(host: string, hostNames: readonly string[]): boolean {
  const url = `http://${host}`;
  if (!URL.canParse(url)) return false;
  const name = hostOf(new URL(url));
  return isIP(name) !== 0 || ["localhost", ...hostNames].includes(name);
}

/** Undefined if it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  let text = "";
  request.setEncoding("utf8");
  // Not destroyed when the loop is left: the answer goes over the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.length > MAX_BODY_BYTES) return undefined;
  }
  return text;
}

/** Undefined if it is none. */
function readRequest(body: string | undefined): RotateRequest | undefined {
  try {
    const { overlapMs = DEFAULT_OVERLAP_MS, client }: { overlapMs?: unknown; client?: unknown } =
      JSON.parse(body ?? "");
    const isGood = typeof overlapMs === "number" && overlapMs >= 1 && overlapMs <= MAX_OVERLAP_MS;
    if (!isGood || (client !== undefined && typeof client !== "string")) return undefined;
    return { overlapMs, ...(client !== undefined && { client }) };
  } catch {
    return undefined;
  }
}
