import {
  type Adapter,
  type ClientKind,
  type ClientLoad,
  type ClientTarget,
  type Download,
  ProbeError,
} from "./adapter.js";
import { type DelugeReply, isDeluge, notDeluge, UNKNOWN_METHOD } from "./deluge-rpc.js";
import { createDelugeSession } from "./deluge-session.js";
import type { HttpCaller } from "./http-call.js";
import { count, isObject, path, text } from "./json.js";
import { requireVersion } from "./version.js";

const MIN_VERSION = "2.0";

/** States in which a torrent that is not whole is being fetched, and the one in which it waits. */
const ACTIVE = ["Allocating", "Checking", "Downloading"];
const QUEUED = "Queued";
/** Those alone are asked for: most torrents of a Deluge are whole. */
const UNFINISHED = { state: [...ACTIVE, QUEUED], is_finished: [false] };
const DIRECTORIES = ["download_location", "move_completed", "move_completed_path"];

/** What is asked of a daemon once in a session. */
interface Daemon {
  readonly version: string;
  readonly downloadDirectory: string | undefined;
}

/**
 * Deluge by the JSON API of its web UI, which is a program of its own: it has the
 * password, and speaks for a daemon that it has to be connected to.
 */
function createDelugeAdapter(target: ClientTarget, call: HttpCaller): Adapter {
  let daemon: Daemon | undefined;
  let isNewSession = false;
  const session = createDelugeSession(target, call, () => {
    daemon = undefined;
    isNewSession = true;
  });

  /** A page's worth of news; without a daemon it says only so, where other calls never end. */
  async function askNews(signal: AbortSignal): Promise<Record<string, unknown>> {
    const { result } = await session.ask("web.update_ui", [["state"], UNFINISHED], signal);
    if (!isObject(result) || typeof result.connected !== "boolean") throw notDeluge();
    return result;
  }

  /** The web UI forgets its daemon when either restarts; whoever comes first connects it anew. */
  async function connect(signal: AbortSignal): Promise<void> {
    daemon = undefined;
    const { result: hosts } = await session.ask("web.get_hosts", [], signal);
    const [first] = Array.isArray(hosts) ? hosts : [];
    if (!Array.isArray(first)) throw noDaemon();
    await session.ask("web.connect", [first[0]], signal);
  }

  /** The news, from a web UI that is connected to its daemon. */
  async function enter(signal: AbortSignal): Promise<Record<string, unknown>> {
    const news = await askNews(signal);
    if (news.connected) return news;
    await connect(signal);
    const after = await askNews(signal);
    if (!after.connected) throw daemonAway();
    return after;
  }

  async function askDaemon(signal: AbortSignal): Promise<Daemon> {
    const { result, error } = await session.ask("daemon.get_version", [], signal);
    // That was another method before 2.0.
    const isOld = error?.code === UNKNOWN_METHOD;
    const told = isOld ? await session.ask("daemon.info", [], signal) : { result, error };
    // Right after its start the web UI is connected, and does not know yet what the daemon can.
    if (told.error?.code === UNKNOWN_METHOD) throw daemonUnknown();
    const version = text(told.result);
    if (version === undefined) throw notDeluge();
    requireVersion("Deluge", version, MIN_VERSION);
    const config = (await session.ask("core.get_config_values", [DIRECTORIES], signal)).result;
    return { version, downloadDirectory: directoryOf(config) };
  }

  /** The label as its plugin wants it, there to be used; undefined if the plugin is off. */
  async function prepareLabel(category: string, signal: AbortSignal): Promise<string | undefined> {
    const label = category.toLowerCase();
    const { result: labels, error } = await session.ask("label.get_labels", [], signal);
    if (error?.code === UNKNOWN_METHOD) return undefined;
    if (!Array.isArray(labels)) throw didNot("tell its labels");
    if (labels.includes(label)) return label;
    const made = await session.ask("label.add", [label], signal);
    if (made.error) throw didNot("take the category for a label: use a-z, 0-9, _ and - in it");
    return label;
  }

  async function add(download: Download, signal: AbortSignal): Promise<string> {
    const { fileName, content, category, directory } = download;
    await enter(signal);
    const label = category && (await prepareLabel(category, signal));
    const options = directory === undefined ? {} : { download_location: directory };
    const file = Buffer.from(content).toString("base64");
    const reply = await session.ask("core.add_torrent_file", [fileName, file, options], signal);
    const id = idOf(reply);
    if (id === undefined) throw didNot("take the file: is it a torrent?");
    if (label) await session.ask("label.set_torrent", [id, label], signal);
    return id;
  }

  return {
    async probe(signal) {
      isNewSession = false;
      const news = await enter(signal);
      daemon ??= await askDaemon(signal);
      const { version, downloadDirectory } = daemon;
      return {
        outcome: "ok",
        message: `Deluge ${version} answers`,
        version,
        load: loadOf(news),
        ...(downloadDirectory && { downloadDirectory }),
        credentials: "accepted",
        ...(!isNewSession && { isBySession: true }),
      };
    },
    add,
  };
}

export const DELUGE: ClientKind = {
  createAdapter: createDelugeAdapter,
  recognise: isDeluge,
};

function loadOf({ torrents, stats }: Record<string, unknown>): ClientLoad {
  const states = isObject(torrents)
    ? Object.values(torrents).map((torrent) => (isObject(torrent) ? String(torrent.state) : ""))
    : undefined;
  const figures = isObject(stats) ? stats : {};
  return {
    ...(states && {
      active: states.filter((state) => ACTIVE.includes(state)).length,
      queued: states.filter((state) => state === QUEUED).length,
    }),
    // -1 where it cannot look.
    ...count("freeBytes", figures.free_space),
    ...count("downloadBytesPerSecond", rounded(figures.download_rate)),
    ...count("uploadBytesPerSecond", rounded(figures.upload_rate)),
  };
}

function rounded(value: unknown): number | undefined {
  return typeof value === "number" ? Math.round(value) : undefined;
}

/** Where what is whole ends up. */
function directoryOf(config: unknown): string | undefined {
  if (!isObject(config)) return undefined;
  return path(
    config.move_completed === true ? config.move_completed_path : config.download_location,
  );
}

/** The id of what was added now, or of what was there already, which it says in its refusal. */
function idOf({ result, error }: DelugeReply): string | undefined {
  if (error)
    return /\balready (?:in session|being added) \(([0-9a-f]{40,64})\)/.exec(error.message)?.[1];
  return text(result);
}

function noDaemon(): ProbeError {
  return new ProbeError(
    "unreachable",
    "Deluge's web UI knows no daemon: add one in its connection manager",
    true,
  );
}

function daemonUnknown(): ProbeError {
  return new ProbeError("unreachable", "Deluge's web UI has only just met its daemon");
}

function daemonAway(): ProbeError {
  return new ProbeError(
    "unreachable",
    "Deluge's web UI answers, but not the daemon behind it: start deluged",
    true, // it has just tried
  );
}

function didNot(what: string): ProbeError {
  return new ProbeError("unreachable", `Deluge did not ${what}`);
}
