import { join } from "node:path";
import { type Clock, systemClock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { readIfPresent, writePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret, systemRandom } from "../lib/random.js";
import { readAddress } from "./address-file.js";
import { FRONTABLE_KINDS } from "./fronted-client.js";
import { rotateKeyFiles } from "./key-ring.js";
import { SECRET_FILE } from "./own-aria2.js";
import { type Rotated, type RotateRequest, RotationFailed, RotationRefused } from "./rotation.js";

/** A running Haul answers well within that, however slow its download client is. */
const ANSWERS_WITHIN_MS = 60_000;

export interface RotationRequest extends RotateRequest {
  readonly stateDirectory: string;
  /** Where the running Haul is; left out, what the state directory says. */
  readonly url?: string;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/** `asleep`: no Haul runs, so the files were changed, and its next start registers what is in them. */
export type RequestedRotation =
  | Rotated
  | { readonly what: Rotated["what"]; readonly pulse: "asleep" };

/**
 * Has the Haul with this state directory change the secret that it has registered.
 * @throws RotationRefused if nothing was changed, RotationFailed; another Error of one
 *   sentence if the state directory cannot be used.
 */
export async function requestRotation(request: RotationRequest): Promise<RequestedRotation> {
  const { stateDirectory, url } = request;
  const key = (await readIfPresent(join(stateDirectory, "api.key")))?.trim();
  if (key === undefined)
    throw new RotationRefused(
      `there is no api.key in ${stateDirectory}: give the --name or the --data of a Haul that has run`,
    );
  const address = url ?? (await readAddress(stateDirectory));
  if (address !== undefined && (await isHaul(address))) return tell(address, key, request);
  if (url !== undefined)
    throw new RotationRefused(
      `no Haul answers at ${url}: check --url, or leave it out to change the files of one that is stopped`,
    );
  return changeFiles(request);
}

/** Also before the key is sent there: after a crash of Haul, something else may listen at its address. */
async function isHaul(url: string): Promise<boolean> {
  try {
    const response = await fetch(new URL("/health", url), init());
    const health: unknown = await response.json();
    return Object(health).status === "ok";
  } catch {
    return false;
  }
}

async function tell(
  url: string,
  key: string,
  { overlapMs, client }: RotateRequest,
): Promise<Rotated> {
  const response = await fetch(new URL("/api/rotate-key", url), {
    ...init(),
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": key },
    body: JSON.stringify({ overlapMs, client }),
  }).catch((error: Error) => {
    throw new RotationFailed(`Haul at ${url} ended in between (${error.name}): ask again`);
  });
  const answer: unknown = await response.json().catch(() => undefined);
  const { what, pulse, error }: Partial<Record<string, unknown>> = { ...Object(answer) };
  if (response.ok && isWhat(what) && (pulse === "told" || pulse === "waiting"))
    return { what, pulse };
  if (response.status === 401)
    throw new RotationRefused(
      `Haul at ${url} does not know the key of this state directory: give the --name, --data or --url that belong together`,
    );
  if (response.status === 404)
    throw new RotationRefused(`Haul at ${url} does not know how to rotate: update and restart it`);
  const text = typeof error === "string" ? error : `Haul at ${url} answered ${response.status}`;
  throw response.status === 409 ? new RotationRefused(text) : new RotationFailed(text);
}

/** An aria2 of its own that is not running needs nothing but another secret in its file. */
async function changeFiles({
  stateDirectory,
  overlapMs,
  client,
  clock = systemClock,
  random = systemRandom,
}: RotationRequest): Promise<RequestedRotation> {
  if (client !== undefined)
    throw new RotationRefused(
      `no Haul runs with ${stateDirectory}: the secret of a download client is changed only while its Haul runs`,
    );
  await rotateKeyFiles(stateDirectory, overlapMs, { clock, random, log: SILENT });
  const aria2 = join(stateDirectory, SECRET_FILE);
  const hasAria2 = (await readIfPresent(aria2)) !== undefined;
  if (hasAria2) await writePrivateFile(aria2, `${randomSecret(random)}\n`);
  const started = await readAddress(stateDirectory);
  if (started !== undefined && (await isHaul(started)))
    throw new RotationFailed(
      `a Haul was started at ${started} while its files were changed: restart it, so that it registers what is in them`,
    );
  return { what: hasAria2 ? "aria2" : "api-key", pulse: "asleep" };
}

function isWhat(value: unknown): value is Rotated["what"] {
  return value === "api-key" || FRONTABLE_KINDS.some((kind) => kind === value);
}

const init = (): RequestInit => ({
  redirect: "error",
  signal: AbortSignal.timeout(ANSWERS_WITHIN_MS),
});

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
