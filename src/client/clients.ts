import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
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

/** A connection as a session needs it. */
export interface SessionConnection extends Pick<PulseConnection, "registry" | "close"> {
  /** Connects without a call, if it is not connected, and goes on trying. */
  connect(): void;
  /** Calls `listener` whenever the connection has come up from now on. */
  onReady(listener: () => void): void;
}

/** A connection as a watch needs it. */
export type WatchConnection = SessionConnection & Pick<PulseConnection, "downloadClients">;

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
