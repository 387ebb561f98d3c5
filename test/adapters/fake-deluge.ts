import type { RequestListener } from "node:http";
import { bodyOf, reply } from "./fake-client.js";

interface Torrent {
  readonly state: string;
  readonly is_finished: boolean;
}

/** The web UI of a Deluge and the daemon behind it, as both show to a caller, with what a test changes. */
export class FakeDeluge {
  version = "2.0.3";
  password = "right";
  /** Accepts the cookie of a session; false, as behind a proxy that drops it. */
  keepsSessions = true;
  hosts: readonly unknown[] = [["aaaa", "127.0.0.1", 58846, "localclient"]];
  isDaemonUp = true;
  /** Whether the web UI knows what its daemon can: not at once after its start. */
  knowsMethods = true;
  /** Whether the web UI is connected to it. */
  isConnected = true;
  torrents: Record<string, Torrent> = {};
  stats: Record<string, unknown> = { free_space: 5_000, download_rate: 0, upload_rate: 0 };
  config: Record<string, unknown> = { download_location: "/downloads" };
  /** Names of labels; undefined while the plugin is off. */
  labels: string[] | undefined;
  readonly labelled: string[] = [];
  logins = 0;
  badLogins = 0;
  readonly methods: string[] = [];
  readonly params: unknown[][] = [];
  #session = 0;

  /** Forgets its sessions. */
  restart(): void {
    this.#session += 1;
  }

  readonly listener: RequestListener = async (request, response) => {
    const body = await bodyOf(request);
    if (request.url !== "/base/json") return reply(response, 404, "<html>");
    if (request.method !== "POST") return reply(response, 405, "");
    const { method, params, id } = JSON.parse(body);
    this.methods.push(method);
    this.params.push(params);
    const cookie = `_session_id=${this.#session}f00d`;
    const isLoggedIn = this.keepsSessions && request.headers.cookie === cookie;
    const answer = this.#answer(method, params, isLoggedIn);
    if (answer === NEVER) return;
    const isLoggedInNow = isLoggedIn || (method === "auth.login" && answer.result === true);
    const whole = { result: null, error: null, id, ...answer };
    reply(response, 200, JSON.stringify(whole), isLoggedInNow ? cookie : undefined);
  };

  #answer(method: string, params: readonly unknown[], isLoggedIn: boolean): Answer {
    if (method === "auth.check_session") return { result: isLoggedIn };
    if (method === "auth.login") return { result: this.#logIn(params[0]) };
    const isOfWeb = method.startsWith("web.");
    // Those of a daemon it learns when it is connected to it, and knows them still when it is no more.
    if (!isOfWeb && !(this.knowsMethods && this.#methods().includes(method)))
      return { error: { message: "Unknown method", code: 2 } };
    if (!isLoggedIn) return { error: { message: "Not authenticated", code: 1 } };
    if (!isOfWeb && !(this.isConnected && this.isDaemonUp)) return NEVER;
    return this.#results(params)[method]?.() ?? { result: null };
  }

  #methods(): readonly string[] {
    return [
      this.version.startsWith("1.") ? "daemon.info" : "daemon.get_version",
      "core.add_torrent_file",
      "core.get_config_values",
      ...(this.labels ? ["label.get_labels", "label.add", "label.set_torrent"] : []),
    ];
  }

  #logIn(password: unknown): boolean {
    this.logins += 1;
    const isRight = password === this.password;
    if (!isRight) this.badLogins += 1;
    return isRight;
  }

  #results(params: readonly unknown[]): Record<string, () => Answer> {
    const version = () => ({ result: this.version });
    return {
      "daemon.get_version": version,
      "daemon.info": version,
      "web.update_ui": () => ({ result: this.#news(params[1]) }),
      "web.get_hosts": () => ({ result: this.hosts }),
      "web.connect": () => {
        this.isConnected = this.isDaemonUp;
        return { result: this.isDaemonUp ? ["core.add_torrent_file"] : null };
      },
      "core.get_config_values": () => ({ result: this.config }),
      "core.add_torrent_file": () => this.#add(String(params[1])),
      "label.get_labels": () => ({ result: this.labels }),
      "label.add": () => this.#addLabel(String(params[0])),
      "label.set_torrent": () => {
        this.labelled.push(params.join(" "));
        return { result: null };
      },
    };
  }

  #news(filter: unknown): object {
    const { isDaemonUp, isConnected, stats } = this;
    if (!isDaemonUp || !isConnected)
      return { connected: false, torrents: null, filters: null, stats: { max_upload: null } };
    const { state, is_finished } = filter as { state: string[]; is_finished: boolean[] };
    const wanted = Object.entries(this.torrents).filter(
      ([, torrent]) => state.includes(torrent.state) && is_finished.includes(torrent.is_finished),
    );
    const torrents = Object.fromEntries(wanted.map(([id, { state }]) => [id, { state }]));
    return { connected: true, torrents, filters: { state: [["All", 3]] }, stats };
  }

  #add(base64: string): Answer {
    const content = Buffer.from(base64, "base64").toString();
    if (!content.startsWith("d")) return refusal("Unable to add torrent, decoding filedump failed");
    const id = TORRENT_ID;
    if (id in this.torrents) return refusal(`Torrent already in session (${id}).`);
    this.torrents[id] = { state: "Downloading", is_finished: false };
    return { result: id };
  }

  #addLabel(label: string): Answer {
    if (!/^[a-z0-9_-]+$/.test(label)) return refusal("Invalid label, valid characters:[a-z0-9_-]");
    this.labels?.push(label);
    return { result: null };
  }
}

/** Of each torrent that is added. */
export const TORRENT_ID = "ddf6fac614b4a13f90a2857f6a7542d23d285e54";

interface Answer {
  readonly result?: unknown;
  readonly error?: object;
}
/** The web UI waits without end for a daemon that is gone. */
const NEVER: Answer = {};

function refusal(text: string): Answer {
  const message = `Failure: [Failure instance: Traceback (failure with no frames): <class 'deluge.error.AddTorrentError'>: ${text}\n]`;
  return { error: { message, code: 4 } };
}
