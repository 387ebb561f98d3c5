import { createServer, type IncomingMessage, request as sendRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import type { RealClient, RealKind } from "./download-clients/real-clients.js";

/** An HTTP proxy in front of a download client, for those that log no failed log-ins. */
export interface LoginFront {
  readonly url: string;
  /** How many log-ins it has seen refused. */
  readonly refusedLogins: number;
}

interface Exchange {
  readonly path: string;
  /** With a user and password in its headers. */
  readonly isLogin: boolean;
  readonly asked: string;
  readonly status: number;
  readonly answer: string;
}

/** How each kind refuses a log-in, which is not how it refuses a call without one. */
const IS_REFUSED: Readonly<Record<RealKind, (exchange: Exchange) => boolean>> = {
  aria2: ({ answer }) => answer.includes("Unauthorized"),
  deluge: ({ asked, answer }) => asked.includes("auth.login") && /"result":\s*false/.test(answer),
  nzbget: ({ isLogin, status }) => isLogin && status === 401,
  qbittorrent: ({ path, answer }) => path.endsWith("/auth/login") && answer.startsWith("Fails"),
  sabnzbd: ({ answer }) => answer.includes("API Key Incorrect"),
  transmission: ({ isLogin, status }) => isLogin && status === 401,
};

/** Starts one; it ends with the test. While the client is away, it hangs up. */
export async function startLoginFront(client: RealClient): Promise<LoginFront> {
  let refusedLogins = 0;
  const server = createServer(async (request, response) => {
    try {
      const asked = await buffer(request);
      const reply = await forward(request, asked, client.port);
      const answer = await buffer(reply);
      const exchange = {
        path: request.url ?? "",
        isLogin: request.headers.authorization !== undefined,
        asked: asked.toString("latin1"),
        status: reply.statusCode ?? 0,
        answer: answer.toString("latin1"),
      };
      if (IS_REFUSED[client.kind](exchange)) refusedLogins += 1;
      response.writeHead(exchange.status, withoutLength(reply)).end(answer);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get refusedLogins() {
      return refusedLogins;
    },
  };
}

function forward(
  { method, url, headers }: IncomingMessage,
  body: Buffer,
  port: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // qBittorrent answers nobody who seems to mean another server.
    const { origin: _, referer: __, ...rest } = headers;
    const options = { host: "127.0.0.1", port, method, path: url, agent: false };
    sendRequest({ ...options, headers: { ...rest, host: `127.0.0.1:${port}` } }, resolve)
      .once("error", reject)
      .end(body);
  });
}

/** The body is sent as it came, but not in the chunks in which it came. */
function withoutLength({ headers }: IncomingMessage) {
  const { "transfer-encoding": _, "content-length": __, connection: ___, ...rest } = headers;
  return rest;
}
