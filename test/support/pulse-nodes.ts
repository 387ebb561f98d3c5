import { randomBytes } from "node:crypto";
import { createClient, type Transport } from "@connectrpc/connect";
import { describe } from "vitest";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import type { PulseOptions } from "../../src/pulse/index.js";
import { createDatabase, describePostgres } from "./postgres.js";
import type { TestDatabase } from "./postgres-database.js";
import { type Clients, PROTOCOLS, TestPulse, type WireProtocol } from "./pulse.js";

/** What the contract is checked on: one Pulse, or several that are to be like one. */
export type PulseUnderTest = Pick<
  TestPulse,
  "clients" | "fileToken" | "token" | "restart" | "stop"
>;

/** Nodes in this process on one PostgreSQL. Each call, and each stream, goes to the next of them. */
export class TestNodes implements PulseUnderTest {
  #calls = 0;

  private constructor(
    readonly nodes: readonly TestPulse[],
    private readonly database: TestDatabase,
    readonly secretKey: string,
  ) {}

  static async start(options: Partial<PulseOptions> = {}, size = 2): Promise<TestNodes> {
    const database = await createDatabase();
    const secretKey = randomBytes(32).toString("hex");
    const shared = { ...options, database: database.url, secretKey };
    const starting = Array.from({ length: size }, () => TestPulse.start(shared));
    return new TestNodes(await Promise.all(starting), database, secretKey);
  }

  get databaseUrl(): string {
    return this.database.url;
  }

  /** @param token undefined: none is sent */
  clients(protocol: WireProtocol, token: string | undefined): Clients {
    const transports = this.nodes.map((node) => node.transport(protocol, token));
    const next = () => transports[this.#calls++ % transports.length] as Transport;
    const transport: Transport = {
      unary: (...call) => next().unary(...call),
      stream: (...call) => next().stream(...call),
    };
    return {
      registry: createClient(RegistryService, transport),
      downloadClients: createClient(DownloadClientService, transport),
      tokens: createClient(TokenService, transport),
      audit: createClient(AuditService, transport),
      secrets: createClient(SecretService, transport),
    };
  }

  fileToken(name: "service" | "admin"): Promise<string> {
    return this.#first.fileToken(name);
  }

  token(...scopes: Parameters<TestPulse["token"]>): Promise<string> {
    return this.#first.token(...scopes);
  }

  /** All at once: for a moment there is none. */
  async restart(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.restart()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.database.drop();
  }

  get #first(): TestPulse {
    return this.nodes[0] as TestPulse;
  }
}

export interface ContractSetup {
  readonly protocol: WireProtocol;
  start(options?: Partial<PulseOptions>): Promise<PulseUnderTest>;
}

/** A suite for one Pulse by each protocol, and for several nodes by one: what differs there is not how bytes travel. */
export function describeContract(
  suite: (setup: ContractSetup) => void,
  protocols: readonly WireProtocol[] = PROTOCOLS,
): void {
  for (const protocol of protocols)
    describe(`over ${protocol}`, () =>
      suite({ protocol, start: (options) => TestPulse.start(options) }));
  describePostgres("over gRPC, to any of two nodes", () =>
    suite({ protocol: "gRPC", start: (options) => TestNodes.start(options) }),
  );
}
