import type { RequestListener } from "node:http";
import { bodyOf } from "./fake-client.js";

const UNKNOWN = 0xffff_ffff;

/** An NZBGet 21 as it shows to a caller, with what a test changes. */
export class FakeNzbget {
  password = "right";
  /** Lets in whoever calls, as one without ControlPassword. */
  open = false;
  /** Leaves out what a browser would ask its user by. */
  formAuth = false;
  /** The user may add and do nothing else. */
  mayOnlyAdd = false;
  version = "21.0";
  free: readonly [high: number, low: number] = [UNKNOWN, UNKNOWN];
  statuses: readonly string[] = [];
  startedAtS = 1_795_990_000;
  nowS = 1_795_996_840;
  /** Calls with a login that is wrong, and calls without one. */
  badLogins = 0;
  withoutLogin = 0;
  readonly methods: string[] = [];
  readonly added: unknown[][] = [];

  readonly listener: RequestListener = async (request, response) => {
    const body = await bodyOf(request);
    const { authorization } = request.headers;
    response.setHeader("server", `nzbget-${this.version}`);
    if (request.url !== "/base/jsonrpc") return void response.writeHead(404).end();
    const login = `Basic ${Buffer.from(`me:${this.password}`).toString("base64")}`;
    if (!this.open && authorization !== login) {
      if (authorization) this.badLogins += 1;
      else this.withoutLogin += 1;
      if (!this.formAuth) response.setHeader("www-authenticate", 'Basic realm="NZBGet"');
      return void response.writeHead(401, { "content-type": "text/plain" }).end();
    }
    const { method, params } = JSON.parse(body);
    this.methods.push(method);
    const error = this.#error(method);
    const answer = error
      ? { error: { name: "JSONRPCError", ...error } }
      : this.#result(method, params);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ version: "1.1", ...answer }, undefined, "\n"));
  };

  #error(method: string): object | undefined {
    if (this.mayOnlyAdd && !["version", "append"].includes(method))
      return { code: 401, message: "Access denied" };
    return ["version", "status", "listgroups", "config", "append"].includes(method)
      ? undefined
      : { code: 1, message: "Invalid procedure" };
  }

  #result(method: string, params: unknown[]): { readonly result: unknown } {
    switch (method) {
      case "version":
        return { result: this.version };
      case "status":
        return { result: this.#status() };
      case "listgroups":
        return { result: this.statuses.map((Status, i) => ({ NZBID: i + 1, Status })) };
      case "config":
        return {
          result: [
            { Name: "ControlPassword", Value: this.password },
            { Name: "DestDir", Value: "/data/my downloads" },
          ],
        };
      default:
        return { result: this.added.push(params) };
    }
  }

  #status(): object {
    const [FreeDiskSpaceHi, FreeDiskSpaceLo] = this.free;
    return {
      DownloadRate: 40,
      ServerStandBy: true,
      ServerTime: this.nowS,
      UpTimeSec: this.nowS - this.startedAtS,
      FreeDiskSpaceHi,
      FreeDiskSpaceLo,
      FreeDiskSpaceMB: 0,
    };
  }
}
