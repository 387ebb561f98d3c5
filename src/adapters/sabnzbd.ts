import {
  type Adapter,
  type ClientKind,
  type ClientTarget,
  type Download,
  ProbeError,
  type ProbeSuccess,
} from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { isObject, path, text } from "./json.js";
import {
  askSabnzbd,
  checkSabnzbd,
  isSabnzbd,
  keyMissing,
  notSabnzbd,
  type SabnzbdCall,
} from "./sabnzbd-api.js";
import { sabnzbdLoad } from "./sabnzbd-load.js";
import { requireVersion } from "./version.js";

/** The first for Python 3. */
const MIN_VERSION = "3.0";
/** What one says that runs from its repository. */
const UNRELEASED = "develop";
/** Jobs to look at for one that is being fetched; 0 would be all. */
const FIRST_JOBS = "10";
/** Its full status names each server and each orphan of a job. */
const MAX_STATUS_BYTES = 1024 * 1024;

/** What is asked once, and again after a failure. */
interface Known {
  readonly downloadDirectory: string | undefined;
}

/** SABnzbd by its API. The key goes with each call, but only to what has shown to be a SABnzbd. */
function createSabnzbdAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  const url = target.url.replace(/\/+$/, "");
  const { secret } = target;
  let known: Known | undefined;

  async function ask(
    fields: SabnzbdCall["fields"],
    signal: AbortSignal,
    maxBytes?: number,
  ): Promise<Record<string, unknown>> {
    if (!secret) throw keyMissing();
    const request = { fields, key: secret, ...(maxBytes && { maxBytes }) };
    return askSabnzbd(url, request, call, signal);
  }

  async function askQueue(signal: AbortSignal): Promise<Record<string, unknown>> {
    const { queue } = await ask({ mode: "queue", limit: FIRST_JOBS }, signal);
    if (!isObject(queue)) throw notSabnzbd();
    return queue;
  }

  /** In its settings it may be relative to a home that they do not name. */
  async function askDirectory(signal: AbortSignal): Promise<string | undefined> {
    const fields = { mode: "fullstatus", skip_dashboard: "1" };
    const { status } = await ask(fields, signal, MAX_STATUS_BYTES);
    return isObject(status) ? path(status.completedir) : undefined;
  }

  async function look(signal: AbortSignal): Promise<ProbeSuccess> {
    if (!known) await checkSabnzbd(url, call, signal);
    const queue = await askQueue(signal);
    const version = text(queue.version);
    if (version === undefined) throw notSabnzbd();
    if (version !== UNRELEASED) requireVersion("SABnzbd", version, MIN_VERSION);
    known ??= { downloadDirectory: await askDirectory(signal) };
    const { downloadDirectory } = known;
    return {
      outcome: "ok",
      message: `SABnzbd ${version} answers`,
      version,
      load: sabnzbdLoad(queue),
      ...(downloadDirectory && { downloadDirectory }),
      credentials: "accepted",
    };
  }

  async function add(
    { fileName, content, category, directory }: Download,
    signal: AbortSignal,
  ): Promise<string> {
    if (directory !== undefined) throw noDirectory();
    if (!known) await checkSabnzbd(url, call, signal);
    const name = new File([new Uint8Array(content)], fileName);
    const fields = { mode: "addfile", name, ...(category && { cat: category }) };
    const { nzo_ids: ids } = await ask(fields, signal);
    const id = text(Array.isArray(ids) ? ids[0] : undefined) ?? (await findJob(fileName, signal));
    if (id === undefined) throw notTaken();
    return id;
  }

  /** The job from a file of that name, waiting or done: it may be told to take nothing twice. */
  async function findJob(fileName: string, signal: AbortSignal): Promise<string | undefined> {
    const search = fileName.replace(/\.nzb$/i, "");
    for (const mode of ["queue", "history"]) {
      const list = (await ask({ mode, search, limit: FIRST_JOBS }, signal))[mode];
      const jobs: unknown[] = isObject(list) && Array.isArray(list.slots) ? list.slots : [];
      const job = jobs.filter(isObject).find((job) => (job.filename ?? job.name) === search);
      if (job) return text(job.nzo_id);
    }
    return undefined;
  }

  return {
    async probe(signal) {
      try {
        return await look(signal);
      } catch (error) {
        known = undefined;
        throw error;
      }
    },
    add,
  };
}

export const SABNZBD: ClientKind = {
  createAdapter: createSabnzbdAdapter,
  recognise: isSabnzbd,
};

function noDirectory(): ProbeError {
  return new ProbeError(
    "unreachable",
    "SABnzbd puts no single job into a directory of its own: give a category that has that directory",
  );
}

function notTaken(): ProbeError {
  return new ProbeError(
    "unreachable",
    "SABnzbd did not take the file: is it an .nzb file, and nothing that its settings refuse?",
  );
}
