import { request } from "node:http";

/** What a request says of itself, as it stands: nothing is made better on the way. */
export interface RawRequest {
  readonly method?: string;
  /** Sent as it is, dots and slashes included. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
}

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

/** One exchange by HTTP/1.1 on a connection of its own. */
export function askRaw(url: string, raw: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const { method = "POST", path, headers = {}, body } = raw;
  return new Promise((resolve, reject) => {
    const call = request(
      { hostname, port, method, path, agent: false, headers: headers as Record<string, string> },
      async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode ?? 0, body: text });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}
