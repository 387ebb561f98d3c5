import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { bodyOf } from "./fake-client.js";

/** What the versions say differently, word for word. */
const SPEAKS = {
  "3.00": {
    version: "3.00 (bb6b5a062e)",
    unauthorized:
      "<h1>401: Unauthorized</h1><p>Unauthorized User. 1 unsuccessful login attempts.</p>",
    banned:
      "<h1>403: Forbidden</h1><p>Too many unsuccessful login attempts. Please restart transmission-daemon.</p>",
    notListed: "<h1>403: Forbidden</h1><p>Unauthorized IP Address.</p><p>Either disable the IP …",
    corrupt: "invalid or corrupt torrent file",
  },
  "4.1": {
    version: "4.1.0-beta.2 (ac5c9e082d)",
    unauthorized: "<h1>401: Unauthorized</h1>",
    banned: "<h1>403: Forbidden</h1>",
    notListed: "<h1>403: Forbidden</h1>",
    corrupt: "unrecognized info",
  },
} as const;

export type TransmissionVersion = keyof typeof SPEAKS;

const UNKNOWN_HOST =
  "<h1>421: Misdirected Request</h1><p>… see the 'rpc-host-whitelist' and 'rpc-host-whitelist-enabled' entries.</p>";

type Arguments = Readonly<Record<string, unknown>>;

/** A Transmission as it shows to a caller, with what a test changes. */
export class FakeTransmission {
  speaks: TransmissionVersion = "3.00";
  password = "right";
  /** Lets in whoever calls. */
  open = false;
  /** Whom it does not let in at all. */
  bars: "nobody" | "banned" | "not-listed" | "unknown-host" = "nobody";
  /** In `session-get`, if not that of what it speaks. */
  version: string | undefined;
  statuses: readonly number[] = [];
  /** Calls with a login that is wrong, and calls without one. */
  badLogins = 0;
  withoutLogin = 0;
  /** The methods that were asked for and answered. */
  readonly methods: string[] = [];
  /** Info hashes of what was added, and their labels. */
  readonly torrents = new Map<string, readonly string[]>();
  directories: unknown[] = [];
  #session = 0;

  /** Its session is another one, as after a start and every two hours. */
  restart(): void {
    this.#session += 1;
  }

  readonly listener: RequestListener = async (request, response) => {
    const body = await bodyOf(request);
    if (request.url !== "/base/transmission/rpc" || request.method !== "POST")
      return html(response, 404, "<h1>404: Not Found</h1>");
    if (!this.#letsIn(request, response)) return;
    const id = `session/${this.#session}`;
    if (request.headers["x-transmission-session-id"] !== id) {
      response.setHeader("X-Transmission-Session-Id", id);
      return html(response, 409, "<h1>409: Conflict</h1>");
    }
    const { method, arguments: args } = JSON.parse(body);
    this.methods.push(method);
    const answer = this.#answers(method, args);
    response.setHeader("content-type", "application/json; charset=UTF-8");
    response.end(`${JSON.stringify(answer)}\n`);
  };

  #letsIn({ headers }: IncomingMessage, response: ServerResponse): boolean {
    const says = SPEAKS[this.speaks];
    if (this.bars === "banned") html(response, 403, says.banned);
    else if (this.bars === "not-listed") html(response, 403, says.notListed);
    else if (this.bars === "unknown-host") html(response, 421, UNKNOWN_HOST);
    else if (this.open || headers.authorization === this.#login()) return true;
    else {
      if (headers.authorization) this.badLogins += 1;
      else this.withoutLogin += 1;
      response.setHeader("WWW-Authenticate", 'Basic realm="Transmission"');
      html(response, 401, says.unauthorized);
    }
    return false;
  }

  #login(): string {
    return `Basic ${Buffer.from(`me:${this.password}`).toString("base64")}`;
  }

  #answers(method: string, args: Arguments): object {
    const success = (answer: object) => ({ arguments: answer, result: "success" });
    switch (method) {
      case "session-get": {
        const version = this.version ?? SPEAKS[this.speaks].version;
        return success({ "download-dir": "/data/my downloads", version });
      }
      case "session-stats":
        return success({ activeTorrentCount: 9, downloadSpeed: 40, uploadSpeed: 5 });
      case "free-space":
        if (args.path === "/data/my downloads") return success({ "size-bytes": 5_000 });
        return { arguments: { "size-bytes": -1 }, result: "No such file or directory" };
      case "torrent-get":
        return success({ torrents: [["status"], ...this.statuses.map((status) => [status])] });
      case "torrent-add":
        return this.#add(args) ?? { arguments: {}, result: SPEAKS[this.speaks].corrupt };
      case "torrent-set":
        for (const id of args.ids as string[]) this.torrents.set(id, args.labels as string[]);
        return success({});
      default:
        return { arguments: {}, result: "method name not recognized" };
    }
  }

  /** What it is given is an info hash rather than a torrent. */
  #add(args: Arguments): object | undefined {
    const hashString = Buffer.from(String(args.metainfo), "base64").toString();
    if (!/^[0-9a-f]{40}$/.test(hashString)) return undefined;
    const what = this.torrents.has(hashString) ? "torrent-duplicate" : "torrent-added";
    if (what === "torrent-added") this.torrents.set(hashString, []);
    this.directories.push(args["download-dir"]);
    return { arguments: { [what]: { hashString, id: 1, name: "one" } }, result: "success" };
  }
}

function html(response: ServerResponse, status: number, body: string): void {
  response.setHeader("content-type", "text/html; charset=ISO-8859-1");
  response.writeHead(status, { server: "Transmission" }).end(body);
}
