import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { Scope, TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { type PulseOptions, type PulseServer, startPulse } from "../../src/pulse/index.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { recordingLog } from "./recording-log.js";

export const PROTOCOLS = ["gRPC", "Connect", "gRPC-Web"] as const;
export type WireProtocol = (typeof PROTOCOLS)[number];

/** Clients of one Pulse, by one protocol, with one token. */
export interface Clients {
  readonly registry: Client<typeof RegistryService>;
  readonly downloadClients: Client<typeof DownloadClientService>;
  readonly tokens: Client<typeof TokenService>;
  readonly audit: Client<typeof AuditService>;
  readonly secrets: Client<typeof SecretService>;
}

/** A running Pulse of a test, in this process, with a data directory of its own. */
export class TestPulse {
  readonly log = recordingLog();
  readonly #closers: (() => void)[] = [];

  private constructor(
    readonly dataDirectory: string,
    readonly options: Partial<PulseOptions>,
    public server: PulseServer,
    log: ReturnType<typeof recordingLog>,
  ) {
    this.log = log;
  }

  static async start(options: Partial<PulseOptions> = {}): Promise<TestPulse> {
    const dataDirectory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), "pulse-test-")));
    const log = recordingLog();
    const server = await startPulse({
      listen: { host: "127.0.0.1", port: 0 },
      dataDirectory,
      log,
      // Tests of what is refused come from one address, and one after the other.
      failedAuthentications: { burst: 1_000_000 },
      ...options,
    });
    return new TestPulse(dataDirectory, options, server, log);
  }

  /** Stops Pulse and starts another on the same data and port. */
  async restart(): Promise<void> {
    const { port } = this.server;
    await this.server.stop();
    this.server = await startPulse({
      log: this.log,
      failedAuthentications: { burst: 1_000_000 },
      ...this.options,
      listen: { host: "127.0.0.1", port },
      dataDirectory: this.dataDirectory,
    });
  }

  async stop(): Promise<void> {
    for (const close of this.#closers) close();
    await this.server.stop();
    await rm(this.dataDirectory, { recursive: true, force: true });
  }

  async fileToken(name: "service" | "admin"): Promise<string> {
    return (await readFile(this.server.tokenFiles[name], "utf8")).trim();
  }

  /** A new token with these scopes. */
  async token(...scopes: Scope[]): Promise<string> {
    const { tokens } = this.clients("gRPC", await this.fileToken("admin"));
    return (await tokens.createToken({ name: "test", scopes })).token;
  }

  /** @param token undefined: none is sent */
  clients(protocol: WireProtocol, token: string | undefined): Clients {
    const transport = this.transport(protocol, token);
    return {
      registry: createClient(RegistryService, transport),
      downloadClients: createClient(DownloadClientService, transport),
      tokens: createClient(TokenService, transport),
      audit: createClient(AuditService, transport),
      secrets: createClient(SecretService, transport),
    };
  }

  transport(protocol: WireProtocol, token: string | undefined): Transport {
    const { url } = this.server;
    const withToken: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const interceptors = [withToken];
    if (protocol === "gRPC") {
      const transport = createGrpcTransport({ address: url, interceptors });
      this.#closers.push(() => transport.close());
      return transport;
    }
    const options = { baseUrl: url, httpVersion: "1.1" as const, interceptors };
    return protocol === "Connect"
      ? createConnectTransport(options)
      : createGrpcWebTransport(options);
  }
}

export { Scope };

/** A valid Register of a qBittorrent. */
export const HAUL = {
  service: {
    name: "haul",
    type: "download-client",
    kind: "qbittorrent",
    apiUrl: "http://192.168.1.10:8080/qbt",
    version: "4.5.2",
  },
  instanceId: "haul-instance",
  instanceSecret: "a secret of 16 or more",
  serviceUsername: "admin",
  serviceApiKey: "the-api-key-of-haul",
};

/** For what nobody keeps alive, and must not lapse before a test is over. */
export const LONG_TTL = { seconds: 300n, nanos: 0 };
