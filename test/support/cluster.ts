import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { FaultProxy } from "./fault-proxy.js";
import { freePort } from "./free-port.js";
import { PostgresServer } from "./postgres-server.js";
import {
  createProgramGroup,
  type Exit,
  type ProgramGroup,
  type RunningProgram,
} from "./processes.js";
import { type DatabaseHistory, readDatabaseHistory } from "./watch-database.js";

/** Several Pulses as processes on one PostgreSQL of their own, each with a way to it that can be cut. */
export class Cluster {
  private constructor(
    readonly group: ProgramGroup,
    readonly postgres: PostgresServer,
    readonly secretKey: string,
    readonly nodes: readonly ClusterNode[],
  ) {}

  /** Starts PostgreSQL and all nodes, at the same time. */
  static async start(size = 3): Promise<Cluster> {
    const [group, postgres] = await Promise.all([createProgramGroup(), PostgresServer.start()]);
    const secretKey = randomBytes(32).toString("hex");
    const nodes: ClusterNode[] = [];
    for (let n = 0; n < size; n++) {
      const proxy = await FaultProxy.open(postgres.port);
      nodes.push(new ClusterNode(group, `node-${n}`, await freePort(), proxy, secretKey));
    }
    const cluster = new Cluster(group, postgres, secretKey, nodes);
    try {
      await Promise.all(nodes.map((node) => node.start()));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  node(index: number): ClusterNode {
    const node = this.nodes[index];
    if (!node) throw new Error(`there is no node ${index}`);
    return node;
  }

  /** As a client is given them. */
  get addresses(): string {
    return this.nodes.map(({ url }) => url).join(",");
  }

  /** Asks PostgreSQL itself, past all proxies. */
  async ask<Row extends pg.QueryResultRow>(text: string): Promise<readonly Row[]> {
    const client = new pg.Client({ connectionString: this.postgres.url() });
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** All that was ever committed. To be asked when nobody writes any more. */
  history(): Promise<DatabaseHistory> {
    return readDatabaseHistory(this.postgres.url(), this.secretKey);
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) node.disconnect();
    await this.group.stop();
    for (const node of this.nodes) await node.proxy.close();
    await this.postgres.dispose();
  }
}

/** A Pulse that can be asked, of a cluster or alone. */
export type AskedNode = Pick<ClusterNode, "name" | "connect">;

/** One Pulse of a cluster, the same through restarts: its port, its data directory, its tokens. */
export class ClusterNode {
  #program: RunningProgram | undefined;
  readonly #connections: PulseConnection[] = [];

  constructor(
    private readonly group: ProgramGroup,
    readonly name: string,
    readonly port: number,
    /** Between it and PostgreSQL. */
    readonly proxy: FaultProxy,
    private readonly secretKey: string,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get dataDirectory(): string {
    return join(this.group.directory, this.name);
  }

  /** Of its newest start. */
  get program(): RunningProgram {
    if (!this.#program) throw new Error(`${this.name} was never started`);
    return this.#program;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    this.#program = this.group.start(
      "pulse",
      ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", this.dataDirectory],
      {
        PULSE_DATABASE: `postgres://postgres@127.0.0.1:${this.proxy.port}/postgres`,
        PULSE_SECRET_KEY: this.secretKey,
      },
    );
    await this.#program.line("pulse.listening");
  }

  /** Resolves when it has drained and is gone. */
  stop(): Promise<Exit> {
    return this.program.stop();
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.exit;
  }

  /** It stands still where it is, until `thaw`. */
  freeze(): void {
    this.program.kill("SIGSTOP");
  }

  thaw(): void {
    this.program.kill("SIGCONT");
  }

  /** How many times it has logged this since its newest start. */
  said(msg: string): number {
    return this.program.lines.filter((line) => line.msg === msg).length;
  }

  async token(name: "service" | "admin"): Promise<string> {
    return (await readFile(join(this.dataDirectory, "tokens", `${name}.token`), "utf8")).trim();
  }

  /** A client of this node and no other, that repeats nothing. */
  connect(token: string): PulseConnection {
    const connection = connectPulse({ pulse: this.url, token, retry: "never" });
    this.#connections.push(connection);
    return connection;
  }

  /** What `/healthz` says of the database. */
  async storeHealth(): Promise<string> {
    const response = await fetch(`${this.url}/healthz`);
    return ((await response.json()) as { store: string }).store;
  }

  disconnect(): void {
    for (const connection of this.#connections) connection.close();
  }
}
