import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  type DeregisterRequestSchema,
  type HeartbeatRequestSchema,
  type HeartbeatResponse,
  type RegisterRequestSchema,
  type RegisterResponse,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";

/** Typed clients of one Pulse, on one connection that opens with the first call and reopens by itself. */
export interface PulseConnection {
  readonly registry: Client<typeof RegistryService>;
  readonly downloadClients: Client<typeof DownloadClientService>;
  readonly tokens: Client<typeof TokenService>;
  readonly audit: Client<typeof AuditService>;
  readonly secrets: Client<typeof SecretService>;
  /** Cancels what runs and closes the connection. */
  close(): void;
}

/** A connection for those who stay, across losses. */
interface LastingConnection {
  /** Connects without a call, if it is not connected, and goes on trying. */
  connect(): void;
  /** Calls `listener` whenever the connection has come up from now on. */
  onReady(listener: () => void): void;
  /** Its user is done with it. */
  close(): void;
}

type SessionCallOptions = CallOptions & { readonly signal: AbortSignal };

/** What a session calls: a part of the typed client. */
export interface SessionRegistry {
  register(
    request: MessageInitShape<typeof RegisterRequestSchema>,
    options: SessionCallOptions,
  ): Promise<RegisterResponse>;
  heartbeat(
    requests: AsyncIterable<MessageInitShape<typeof HeartbeatRequestSchema>>,
    options: SessionCallOptions,
  ): AsyncIterable<HeartbeatResponse>;
  deregister(
    request: MessageInitShape<typeof DeregisterRequestSchema>,
    options: SessionCallOptions,
  ): Promise<unknown>;
}

/** A connection as a session needs it; others may share it. */
export interface SessionConnection extends LastingConnection {
  readonly registry: SessionRegistry;
  /** Closes it since it may be half-open: nobody shall go on with it. */
  drop(): void;
}

/** A connection that sessions share. */
export interface BareConnection extends LastingConnection {
  /** For calls that this authorizes. */
  registryFor(authorize: Interceptor): SessionRegistry;
}

/** A connection as a watch needs it. */
export interface WatchConnection
  extends LastingConnection,
    Pick<PulseConnection, "registry" | "downloadClients"> {}

/** A Transport that can be closed. */
export type ClosableTransport = Transport & { close(): void };

/** The typed clients on any transport. */
export function clientsOn(transport: ClosableTransport): PulseConnection {
  return {
    registry: createClient(RegistryService, transport),
    downloadClients: createClient(DownloadClientService, transport),
    tokens: createClient(TokenService, transport),
    audit: createClient(AuditService, transport),
    secrets: createClient(SecretService, transport),
    close: () => transport.close(),
  };
}
