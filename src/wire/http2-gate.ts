import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";

/** What is told of a new stream; `rest` are its flags and its headers as they came. */
export type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  ...rest: unknown[]
) => void;

/**
 * Puts a gate in front of all who listen for streams by now: what it does not let
 * through, none of them hears of.
 */
export function gateStreams(
  http2: Http2Server,
  gate: (letThrough: StreamListener) => StreamListener,
): void {
  const listeners = http2.listeners("stream") as StreamListener[];
  http2.removeAllListeners("stream");
  const letThrough: StreamListener = (...of) => {
    for (const listener of listeners) listener.call(http2, ...of);
  };
  http2.on("stream", gate(letThrough));
}

/** Answers a call RESOURCE_EXHAUSTED, and leaves nothing of it behind. */
export function refuseStream(stream: ServerHttp2Stream, code: number, message: string): void {
  stream.on("error", () => {});
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": "8",
      "grpc-message": message,
    },
    { endStream: true },
  );
  stream.close(code);
}
