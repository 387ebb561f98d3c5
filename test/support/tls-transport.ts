import type { Interceptor, Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import type { WireProtocol } from "./pulse.js";

/** What a client trusts, and shows; PEM. */
export interface ClientTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A transport in TLS, made of connect-node alone: another's other half. */
export function tlsTransport(
  protocol: WireProtocol,
  baseUrl: string,
  tls: ClientTls,
  token?: string,
): Transport {
  const withToken: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl, interceptors: [withToken], nodeOptions: { ...tls } };
  if (protocol === "gRPC") return createGrpcTransport(options);
  const http1 = { ...options, httpVersion: "1.1" as const };
  return protocol === "Connect" ? createConnectTransport(http1) : createGrpcWebTransport(http1);
}
