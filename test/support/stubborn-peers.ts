import { once } from "node:events";
import { request } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { HeartbeatRequestSchema, RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Stack } from "./stack.js";
import { grpcWatch } from "./watch-grpc.js";

// Peers that have a call or a connection open, and neither read on nor end it whatever
// Pulse does. Each resolves when Pulse has answered it, if it was asked something.

/** Ends what is left of a peer. */
export type EndPeer = () => void;

/** A watch over gRPC that takes the first response and no other. */
export async function unreadWatch(stack: Stack): Promise<EndPeer> {
  const ending = new AbortController();
  const watch = grpcWatch(
    DownloadClientService.method.watchDownloadClients,
    {},
    { url: stack.url, bearer: await stack.token(), windowBytes: 65_535, signal: ending.signal },
  );
  await watch.next();
  return () => ending.abort();
}

/** A heartbeat stream that reads all, and never ends its side. */
export async function endlessHeartbeats(stack: Stack): Promise<EndPeer> {
  const session: ClientHttp2Session = connect(stack.url);
  session.on("error", () => {}); // that it is cut off in the end is meant
  const { parent, name } = RegistryService.method.heartbeat;
  const stream = session.request({
    ":method": "POST",
    ":path": `/${parent.typeName}/${name}`,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${await stack.token()}`,
  });
  stream.on("error", () => {});
  const beat = toBinary(
    HeartbeatRequestSchema,
    create(HeartbeatRequestSchema, { leaseId: "none" }),
  );
  const head = Buffer.alloc(5);
  head.writeUInt32BE(beat.length, 1);
  stream.write(Buffer.concat([head, beat]));
  await once(stream, "data");
  return () => session.destroy();
}

/** A watch over HTTP/1.1, by the Connect protocol, that reads nothing after its headers. */
export async function unreadHttpWatch(stack: Stack): Promise<EndPeer> {
  const { parent, name } = DownloadClientService.method.watchDownloadClients;
  const call = request(`${stack.url}/${parent.typeName}/${name}`, {
    method: "POST",
    headers: {
      "content-type": "application/connect+json",
      authorization: `Bearer ${await stack.token()}`,
    },
  });
  call.on("error", () => {});
  const body = Buffer.from("{}");
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  call.end(Buffer.concat([head, body]));
  const [response] = await once(call, "response");
  response.pause().on("error", () => {});
  return () => call.destroy();
}

/** Half a request over HTTP/1.1, and half-open when Pulse ends its side. */
export async function halfRequest(stack: Stack): Promise<EndPeer> {
  const socket = connectTcp({ port: stack.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write("POST /pulse.v1.RegistryService/Register HTTP/1.1\r\ncontent-length: 100\r\n\r\n{");
  return () => socket.destroy();
}

/** A connection on which nothing is ever said. */
export async function mutePeer(stack: Stack): Promise<EndPeer> {
  const socket = connectTcp({ port: stack.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return () => socket.destroy();
}
