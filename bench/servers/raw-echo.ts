import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { isFanOut, serveFanOut } from "./raw-fan-out.js";

/**
 * The floor: node:http2 that returns each DATA frame as it came, in the shape of
 * a gRPC answer, or sends it to all watchers. What it costs nobody can save who
 * serves HTTP/2 on Node.
 */
const server = createServer();
server.on("stream", (stream, { ":path": path }) => {
  stream.on("error", () => {}); // the generator left
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  if (isFanOut(path)) {
    serveFanOut(stream, path);
    return;
  }
  stream.on("data", (chunk: Buffer) => stream.write(chunk));
  stream.on("end", () => stream.end());
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
