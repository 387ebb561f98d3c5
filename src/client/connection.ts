import { createClient, type Interceptor } from "@connectrpc/connect";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { Endpoints } from "../wire/endpoints.js";
import type { ChannelUse } from "../wire/grpc-channel.js";
import { createGrpcTransport, type GrpcTransport } from "../wire/grpc-transport.js";
import { createAuthorization, type TokenSource } from "./authorization.js";
import {
  type BareConnection,
  clientsOn,
  type PulseConnection,
  type WatchConnection,
} from "./clients.js";
import { checkToken } from "./options.js";
import { createRetry, type RetryPolicy } from "./retry.js";
import { endpointsOf, type PulseSecurity } from "./target.js";

export interface ConnectOptions extends PulseSecurity {
  /** Where Pulse is: `https://host:port`, or `http://127.0.0.1:port` on this host, or several with commas between. */
  readonly pulse: string;
  readonly token: TokenSource;
  /** How idempotent calls are tried again; `never`: one attempt, with the attempt's deadline of 10 s. */
  readonly retry?: Partial<RetryPolicy> | "never";
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/**
 * Connects to Pulse for calls. Returns at once: an unreachable Pulse shows in
 * the calls, as a ConnectError of code UNAVAILABLE once their retries are used up.
 *
 * @throws TypeError if `pulse`, `tls` or `token` cannot be used.
 */
export function connectPulse(options: ConnectOptions): PulseConnection {
  const { retry, clock, random } = options;
  const policy = retry === "never" ? { maxAttempts: 1, totalTimeoutMs: 10_000 } : (retry ?? {});
  const injected = { ...(clock && { clock }), ...(random && { random }) };
  const endpoints = endpointsOf(options, injected);
  const interceptor = createRetry({ policy, endpoints, ...injected });
  return clientsOn(openTransport(endpoints, options.token, { interceptors: [interceptor] }));
}

/**
 * A connection for a watch: it repeats nothing, since a watch does so itself, and does
 * not keep the process alive. It takes the endpoint that is due; the caller says when
 * that has failed.
 *
 * @throws TypeError if `token` cannot be used.
 */
export function connectWithoutRetry(endpoints: Endpoints, token: TokenSource): WatchConnection {
  const transport = openTransport(endpoints, token, { use: "background" });
  const { registry, downloadClients } = clientsOn(transport);
  return { registry, downloadClients, ...lifeOf(transport) };
}

/** The same for registrations, which authorize their calls each by itself. */
export function connectBare(endpoints: Endpoints): BareConnection {
  const transport = createGrpcTransport({ address: endpoints, use: "background" });
  return {
    registryFor: (authorize) => createClient(RegistryService, transport.with([authorize])),
    ...lifeOf(transport),
  };
}

function lifeOf(transport: GrpcTransport) {
  return {
    connect: () => transport.connect(),
    onReady: (listener: () => void) => transport.onReady(listener),
    close: () => transport.close(),
  };
}

function openTransport(
  address: Endpoints,
  token: TokenSource,
  options: { readonly interceptors?: Interceptor[]; readonly use?: ChannelUse },
): GrpcTransport {
  // The token comes last, next to the wire: each attempt asks for it anew.
  const interceptors = [...(options.interceptors ?? []), createAuthorization(checkToken(token))];
  return createGrpcTransport({ ...options, address, interceptors });
}
