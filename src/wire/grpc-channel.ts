import { Client, type ClientOptions, connectivityState } from "@grpc/grpc-js";
import { hostOf, inUrl } from "../lib/host.js";
import type { Endpoint } from "./endpoint-lookup.js";
import { createCredentials } from "./grpc-credentials.js";
import type { TlsSource } from "./tls-options.js";

/** Each connection is its own, and none goes through a web proxy: it carries the passwords of the house. */
const CHANNEL_OPTIONS: ClientOptions = {
  // Whoever closes a connection that may be half-open must not get the same one again.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_channelz": 0,
  // Calls are tried again above: grpc-js ignores RetryInfo and has no deadline for an attempt.
  "grpc.enable_retries": 0,
  // A call that meets a channel in backoff fails at once with an old error, so that state is kept short.
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
};

/** Notices a half-open connection below calls that wait for an answer. Never sent without one. */
const KEEPALIVE_OPTIONS: ClientOptions = {
  "grpc.keepalive_time_ms": 5_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.keepalive_permit_without_calls": 0,
};

/**
 * What a connection is for. `calls`: somebody awaits each call, so a running one
 * keeps the process alive, and PINGs watch over it. `background`: a stream that
 * runs for ever, watched by its own heartbeats, and no reason not to exit.
 */
export type ChannelUse = "calls" | "background";

/**
 * A grpc-js client for `http://host:port` or `https://host:port`. It connects
 * with the first call, and again after a loss.
 */
export function openChannel(address: string, use: ChannelUse, tls?: TlsSource): Client {
  const url = new URL(address);
  const scheme = url.protocol === "https:" ? "https" : "http";
  const port = url.port || (scheme === "https" ? "443" : "80");
  const host = hostOf(url);
  return open({ scheme, place: `${inUrl(host)}:${port}`, host, port }, use, tls, {});
}

/** The same for one endpoint, whose certificate has to be for the host that was given. */
export function openEndpointChannel(endpoint: Endpoint, use: ChannelUse, tls?: TlsSource): Client {
  const { host, port } = endpoint;
  return open(endpoint, use, tls, { "grpc.default_authority": `${inUrl(host)}:${port}` });
}

function open(
  endpoint: Endpoint,
  use: ChannelUse,
  tls: TlsSource | undefined,
  own: ClientOptions,
): Client {
  return new Client(`dns:${endpoint.place}`, createCredentials(endpoint, tls), {
    ...CHANNEL_OPTIONS,
    ...(use === "calls" ? KEEPALIVE_OPTIONS : {}),
    ...own,
  });
}

/** Whether calls on it leave at once. */
export function isReady(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

/** Connects without a call, unless it is connected. */
export function connectChannel(client: Client): void {
  client.getChannel().getConnectivityState(true);
}

/** Calls `onOutcome` at most once: when the channel has connected, or its first try has failed. */
export function awaitOutcome(client: Client, onOutcome: (it: "ready" | "failed") => void): void {
  const channel = client.getChannel();
  const look = () => {
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.SHUTDOWN) return;
    if (state === connectivityState.READY) onOutcome("ready");
    else if (state === connectivityState.TRANSIENT_FAILURE) onOutcome("failed");
    else channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, look);
  };
  look();
}

/**
 * Calls `onReady` whenever the channel has connected from now on, until it is
 * closed. While the last attempt has failed, it tries again every second.
 */
export function watchChannel(client: Client, onReady: () => void): void {
  const channel = client.getChannel();
  const watch = () => {
    const before = channel.getConnectivityState(false);
    if (before === connectivityState.SHUTDOWN) return;
    channel.watchConnectivityState(before, Number.POSITIVE_INFINITY, () => {
      if (channel.getConnectivityState(false) === connectivityState.READY) onReady();
      watch();
    });
  };
  watch();
}
