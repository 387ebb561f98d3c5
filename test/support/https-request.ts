import { type RequestOptions, request } from "node:https";

export interface HttpsAnswer {
  readonly status: number;
  readonly text: string;
}

/** One request over HTTP/1.1 in TLS on a connection of its own: Node's `fetch` takes no authority. */
export function httpsRequest(
  url: string,
  { body, ...options }: RequestOptions & { readonly body?: string },
): Promise<HttpsAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
