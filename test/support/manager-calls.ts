import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";

// How a media manager speaks to a download client: with nothing but an entry's fields,
// and on purpose without what this project itself knows of these clients.

/** What a manager needs of an entry. */
export type Access = Pick<
  DownloadClient,
  "kind" | "host" | "port" | "useSsl" | "urlBase" | "username" | "password"
>;

/** A .torrent or .nzb file. */
export interface AddedFile {
  readonly name: string;
  readonly content: Uint8Array;
}

/** A manager that is logged in. */
interface Session {
  version(): Promise<string>;
  add(file: AddedFile): Promise<void>;
}

type LogIn = (base: string, access: Access) => Promise<Session> | Session;

/** Logs in and returns the version. Rejects if the client refuses; with `fetch failed` if it is away. */
export async function versionByEntry(entry: Access): Promise<string> {
  return (await logIn(entry)).version();
}

/** Logs in and has the client fetch what the file says. */
export async function addByEntry(entry: Access, file: AddedFile): Promise<void> {
  await (await logIn(entry)).add(file);
}

async function logIn(entry: Access): Promise<Session> {
  const { kind, host, port, useSsl, urlBase } = entry;
  const start = LOG_INS[kind];
  if (!start) throw new Error(`this manager knows no ${kind}`);
  return start(`${useSsl ? "https" : "http"}://${host}:${port}${urlBase}`, entry);
}

const LOG_INS: Readonly<Record<string, LogIn>> = {
  aria2(base, { password }) {
    const call = async <Result>(method: string, ...params: readonly unknown[]) => {
      const body = { jsonrpc: "2.0", id: "1", method, params: [`token:${password}`, ...params] };
      const response = await fetch(`${base}/jsonrpc`, post(JSON.stringify(body)));
      return ((await goodJson(response)) as { result: Result }).result;
    };
    return {
      version: async () => (await call<{ version: string }>("aria2.getVersion")).version,
      add: ({ content }) => call("aria2.addTorrent", base64(content)),
    };
  },

  async qbittorrent(base, { username, password }) {
    const login = await fetch(
      `${base}/api/v2/auth/login`,
      post(new URLSearchParams({ username, password })),
    );
    const headers = { cookie: cookieOf(login) };
    return {
      async version() {
        const response = good(await fetch(`${base}/api/v2/app/version`, { headers }));
        return (await response.text()).replace(/^v/, "");
      },
      async add({ name, content }) {
        const form = new FormData();
        form.append("torrents", new Blob([content]), name);
        const url = `${base}/api/v2/torrents/add`;
        const response = good(await fetch(url, { method: "POST", headers, body: form }));
        const text = await response.text();
        if (text !== "Ok.") throw new Error(`qBittorrent says ${text}`);
      },
    };
  },

  transmission(base, { username, password }) {
    let session = "";
    const call = async <Result>(method: string, args: object = {}): Promise<Result> => {
      const ask = () =>
        fetch(`${base}/transmission/rpc`, {
          ...post(JSON.stringify({ method, arguments: args })),
          headers: {
            authorization: basic(username, password),
            "x-transmission-session-id": session,
          },
        });
      let response = await ask();
      if (response.status === 409) {
        session = response.headers.get("x-transmission-session-id") ?? "";
        response = await ask();
      }
      const reply = (await goodJson(response)) as { result: string; arguments: Result };
      if (reply.result !== "success") throw new Error(`Transmission says ${reply.result}`);
      return reply.arguments;
    };
    return {
      // Without what it was built from: "3.00 (bb6b5a062e)".
      version: async () =>
        (await call<{ version: string }>("session-get")).version.split(" ", 1)[0] ?? "",
      add: ({ content }) => call("torrent-add", { metainfo: base64(content) }),
    };
  },

  async deluge(base, { password }) {
    let cookie = "";
    const call = async <Result>(method: string, ...params: readonly unknown[]) => {
      const response = await fetch(`${base}/json`, {
        ...post(JSON.stringify({ id: 1, method, params })),
        headers: { "content-type": "application/json", cookie },
      });
      cookie ||= cookieOf(response);
      const { result, error } = (await goodJson(response)) as {
        result: Result;
        error: { message: string } | null;
      };
      if (error) throw new Error(`Deluge says ${error.message}`);
      return result;
    };
    if (!(await call<boolean>("auth.login", password))) throw new Error("the login failed");
    if (!(await call<boolean>("web.connected"))) {
      const [[host] = []] = await call<readonly string[][]>("web.get_hosts");
      await call("web.connect", host);
    }
    return {
      version: () => call("daemon.get_version"),
      add: ({ name, content }) => call("core.add_torrent_file", name, base64(content), {}),
    };
  },

  sabnzbd(base, { password }) {
    const call = async (method: "GET" | "POST", mode: string, form?: FormData) => {
      const query = new URLSearchParams({ mode, output: "json", apikey: password });
      const response = await fetch(`${base}/api?${query}`, { method, ...(form && { body: form }) });
      const reply = (await goodJson(response)) as { queue?: { version: string }; error?: string };
      if (reply.error) throw new Error(`SABnzbd says ${reply.error}`);
      return reply;
    };
    return {
      // `mode=version` answers whoever asks.
      version: async () => (await call("GET", "queue")).queue?.version ?? "",
      async add({ name, content }) {
        const form = new FormData();
        form.append("name", new Blob([content]), name);
        await call("POST", "addfile", form);
      },
    };
  },

  nzbget(base, { username, password }) {
    const call = async <Result>(method: string, ...params: readonly unknown[]) => {
      const response = await fetch(`${base}/jsonrpc`, {
        ...post(JSON.stringify({ method, params })),
        headers: { authorization: basic(username, password) },
      });
      return ((await goodJson(response)) as { result: Result }).result;
    };
    return {
      version: () => call("version"),
      async add({ name, content }) {
        // Category, priority, at the top, paused, and how duplicates are told.
        const rest = ["", 0, false, false, "", 0, "ALL"];
        const id = await call<number>("append", name, base64(content), ...rest);
        if (id <= 0) throw new Error("NZBGet does not take the file");
      },
    };
  },

  haul(base, { password }) {
    return {
      async version() {
        const response = await fetch(`${base}/api/status`, { headers: { "x-api-key": password } });
        return ((await goodJson(response)) as { version: string }).version;
      },
      add: () => Promise.reject(new Error("a Haul fetches nothing")),
    };
  },
};

const post = (body: string | URLSearchParams) => ({ method: "POST", body });
const base64 = (content: Uint8Array) => Buffer.from(content).toString("base64");
const basic = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
const cookieOf = (response: Response) =>
  response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";", 1)[0])
    .join("; ");

function good(response: Response): Response {
  if (!response.ok) throw new Error(`the login failed: ${response.status}`);
  return response;
}

async function goodJson(response: Response): Promise<unknown> {
  return good(response).json();
}
