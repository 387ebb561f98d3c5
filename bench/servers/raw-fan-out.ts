import type { ServerHttp2Stream } from "node:http2";
import { encodeGrpcMessage } from "../generator/frames.js";
import { PUBLISH, SET_OPENING, WATCH } from "../generator/paths.js";

/** Watches without a gRPC library: the bytes of a request go to all of them, in their frame, as they are. */

const EMPTY = encodeGrpcMessage(new Uint8Array());
const watches = new Set<ServerHttp2Stream>();
let opening = EMPTY;

const ROUTES: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  [WATCH](stream) {
    watches.add(stream);
    stream.once("close", () => watches.delete(stream));
    stream.resume();
    stream.write(opening);
  },
  [SET_OPENING](stream) {
    readRequest(stream, (framed) => {
      opening = framed;
    });
  },
  [PUBLISH](stream) {
    readRequest(stream, (framed) => {
      for (const watch of watches) watch.write(framed);
    });
  },
};

export function isFanOut(path: string | undefined): path is string {
  return path !== undefined && Object.hasOwn(ROUTES, path);
}

/** The response headers were sent. */
export function serveFanOut(stream: ServerHttp2Stream, path: string): void {
  ROUTES[path]?.(stream);
}

/** Answers with an empty message when it is done with the request. */
function readRequest(stream: ServerHttp2Stream, use: (framed: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    use(Buffer.concat(chunks));
    stream.end(EMPTY);
  });
}
