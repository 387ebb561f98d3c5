import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import {
  DownloadClientService,
  type WatchDownloadClientsRequest,
  type WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { ChangeType, type SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { clientsOn, type WatchConnection } from "../../src/client/clients.js";
import { createMessageQueue } from "../../src/client/message-queue.js";

export type ResponseInit = MessageInitShape<typeof WatchDownloadClientsResponseSchema>;

/** One open stream, as its server sees it. */
export interface FakeStream {
  readonly request: WatchDownloadClientsRequest;
  send(...responses: ResponseInit[]): void;
  /** Ends it, well or with an error. */
  end(error?: ConnectError): void;
}

/** A Pulse in memory that is watched: a test says what each stream is told. */
export class FakeWatchServer {
  /** What the next streams meet. `silent`: accepted, and never a word. */
  mood: "well" | "away" | "silent" | ConnectError = "well";
  /** Said to every stream at once. */
  greeting: ((request: WatchDownloadClientsRequest) => ResponseInit[]) | undefined;
  /** Every stream that was asked for, and those that are open. */
  readonly requests: WatchDownloadClientsRequest[] = [];
  readonly streams = new Set<FakeStream>();
  /** Connections made, closed, and asked to come up by themselves. */
  dials = 0;
  closed = 0;
  connects = 0;
  #onReady = new Set<() => void>();

  readonly handler = async function* (
    this: FakeWatchServer,
    request: WatchDownloadClientsRequest,
    { signal }: { readonly signal: AbortSignal },
  ) {
    this.requests.push(request);
    if (this.mood instanceof ConnectError) throw this.mood;
    if (this.mood === "away") throw new ConnectError("connection refused", Code.Unavailable);
    const queue = createMessageQueue<ResponseInit>();
    let failure: ConnectError | undefined;
    const stream: FakeStream = {
      request,
      send: (...responses) => {
        for (const response of responses) queue.push(response);
      },
      end(error) {
        failure = error;
        queue.end();
      },
    };
    const onAbort = () => {
      stream.end();
      this.streams.delete(stream); // the generator may be at a `yield` that nobody asks to go on
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    this.streams.add(stream);
    if (this.mood === "well") stream.send(...(this.greeting?.(request) ?? []));
    try {
      for await (const response of queue) yield response;
      if (failure) throw failure;
    } finally {
      this.streams.delete(stream);
      signal.removeEventListener("abort", onAbort);
    }
  }.bind(this);

  readonly dial = (): WatchConnection => {
    this.dials++;
    const transport = createRouterTransport(({ service }) => {
      service(DownloadClientService, { watchDownloadClients: this.handler });
    });
    return {
      ...clientsOn({ ...transport, close: () => {} }),
      connect: () => void this.connects++,
      onReady: (listener) => void this.#onReady.add(listener),
      close: () => void this.closed++,
    };
  };

  /** The connection comes up, without a call. */
  comeUp(): void {
    for (const listener of this.#onReady) listener();
  }

  /** The only stream that is open. */
  get stream(): FakeStream {
    const [stream, ...others] = this.streams;
    if (!stream || others.length > 0) throw new Error(`${this.streams.size} streams are open`);
    return stream;
  }
}

/** An entry of that name; the id is `id-NAME`. */
export function entry(name: string, etag = "1") {
  return {
    id: `id-${name}`,
    name,
    kind: "qbittorrent",
    etag,
    password: `pw-of-${name}`,
    availability: Availability.ONLINE,
  };
}

const FRAME = { bookmarkInterval: { seconds: 5n, nanos: 0 } };

export function snapshot(
  names: readonly (string | ReturnType<typeof entry>)[],
  revision: number,
  options: { more?: boolean; token?: string; reason?: SnapshotReason } = {},
): ResponseInit {
  const { more = false, token = more ? "" : `t${revision}`, reason } = options;
  const downloadClients = names.map((name) => (typeof name === "string" ? entry(name) : name));
  return {
    event: { case: "snapshot", value: { downloadClients, more, ...(reason && { reason }) } },
    revision: BigInt(revision),
    resumeToken: token,
    ...FRAME,
  };
}

/** @param token `t` and the revision: the commit is complete with this */
export function put(
  name: string,
  revision: number,
  { etag = `${revision}`, token = `t${revision}`, reason = "registered" } = {},
): ResponseInit {
  const value = { type: ChangeType.PUT, reason, downloadClient: entry(name, etag) };
  return {
    event: { case: "change", value },
    revision: BigInt(revision),
    resumeToken: token,
  };
}

export function gone(
  name: string,
  revision: number,
  { token = `t${revision}`, reason = "deregistered" } = {},
): ResponseInit {
  const value = { type: ChangeType.DELETE, reason, downloadClient: { id: `id-${name}` } };
  return {
    event: { case: "change", value },
    revision: BigInt(revision),
    resumeToken: token,
  };
}

export function bookmark(revision: number, token = `t${revision}`): ResponseInit {
  return {
    event: { case: "bookmark", value: {} },
    revision: BigInt(revision),
    resumeToken: token,
    ...FRAME,
  };
}
