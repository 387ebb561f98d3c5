import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Availability, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { ListDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import type { CommitJournal } from "./commit-journal.js";
import { eventually } from "./eventually.js";
import { freePort } from "./free-port.js";
import { Members, type MembersConfig } from "./members.js";
import { createProgramGroup, type ProgramGroup, type RunningProgram } from "./processes.js";
import type { SmallDisk } from "./small-disk.js";
import { type DatabaseHistory, readDatabaseHistory, readSqliteHistory } from "./watch-database.js";

export { freePort };

const SECRET_KEY = "5b".repeat(32);

export interface StackOptions {
  /** `postgres://…`; left out, SQLite. */
  readonly database?: string;
  /** Where Pulse has its data; left out, on the disk of everybody. */
  readonly disk?: SmallDisk;
}

/** Pulse and Hauls as processes, as an operator runs them, on one data directory. */
export class Stack {
  readonly #connections: PulseConnection[] = [];

  private constructor(
    readonly group: ProgramGroup,
    /** The same through restarts, as an operator's is. */
    readonly port: number,
    private readonly options: StackOptions,
  ) {}

  static async create(options: StackOptions = {}): Promise<Stack> {
    return new Stack(await createProgramGroup(), await freePort(), options);
  }

  get dataDirectory(): string {
    return join(this.options.disk?.directory ?? this.group.directory, "pulse-data");
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** `postgres://…`; undefined: SQLite. */
  get database(): string | undefined {
    return this.options.database;
  }

  /** Starts Pulse and waits until it listens. */
  async startPulse(
    env: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
  ): Promise<RunningProgram> {
    const pulse = this.spawnPulse(env, args);
    await pulse.line("pulse.listening");
    return pulse;
  }

  /** Starts Pulse, which may be killed before it listens. */
  spawnPulse(
    env: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
  ): RunningProgram {
    const { database, disk } = this.options;
    return this.group.start(
      "pulse",
      ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", this.dataDirectory, ...args],
      { ...(database && { PULSE_DATABASE: database, PULSE_SECRET_KEY: SECRET_KEY }), ...env },
      disk?.enter,
    );
  }

  /** All that was ever committed. Pulse must be gone; one on SQLite must have kept the journal. */
  async history(journal: CommitJournal): Promise<DatabaseHistory> {
    const { database, disk } = this.options;
    if (database) return readDatabaseHistory(database, SECRET_KEY);
    if (!disk) return readSqliteHistory(this.dataDirectory, journal);
    const copy = join(this.group.directory, "pulse-data-copy");
    await cp(this.dataDirectory, copy, { recursive: true });
    return readSqliteHistory(copy, journal);
  }

  /**
   * Services that stay registered, in a process of their own. They find Pulse where it
   * is, or at a port in front of it; or each at a port of its own.
   */
  async startMembers(
    {
      port = this.port,
      ...config
    }: Partial<MembersConfig> & { readonly port?: number | readonly number[] },
    env: Readonly<Record<string, string>> = {},
  ): Promise<Members> {
    const pulse = [port].flat().map((each) => `http://127.0.0.1:${each}`);
    const token = await this.token();
    return Members.start(this.group, { pulse, token, prefix: "member", count: 1, ...config }, env);
  }

  /** Why the service changed, oldest first, as far as Pulse remembers. */
  async reasons(serviceId: string): Promise<readonly string[]> {
    const { timeline } = await this.connect().registry.explainService({ id: serviceId });
    return timeline.map(({ reason }) => reason);
  }

  /** Starts a Haul that finds Pulse and its token as on one host, and waits until it serves. */
  async startHaul(
    state: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<RunningProgram> {
    const haul = this.group.start(
      "haul",
      [
        "run",
        "--pulse",
        this.url,
        "--listen",
        "127.0.0.1:0",
        "--data",
        join(this.group.directory, state),
        ...args,
      ],
      { PULSE_DATA: this.dataDirectory, ...env },
    );
    await haul.line("haul.listening");
    return haul;
  }

  async token(name: "service" | "admin" = "service"): Promise<string> {
    const text = await readFile(join(this.dataDirectory, "tokens", `${name}.token`), "utf8");
    return text.trim();
  }

  /** A client of Pulse, as a manager has it; with the token `admin`, as an operator. */
  connect(name: "service" | "admin" = "service"): PulseConnection {
    const token = () => this.token(name);
    const connection = connectPulse({ pulse: this.url, token, retry: "never" });
    this.#connections.push(connection);
    return connection;
  }

  /** The entries by name, asked anew. */
  async entries(): Promise<Map<string, DownloadClient>> {
    const connection = connectPulse({ pulse: this.url, token: () => this.token(), retry: "never" });
    try {
      const { downloadClients } = await connection.downloadClients.listDownloadClients({});
      return new Map(downloadClients.map((entry) => [entry.name, entry]));
    } finally {
      connection.close();
    }
  }

  /** Waits until the entry of that name is as available as wanted, and returns it. */
  async entryIs(
    name: string,
    availability: keyof typeof Availability,
    withinMs?: number,
  ): Promise<DownloadClient> {
    return eventually(async () => {
      const entry = (await this.entries()).get(name);
      if (!entry) throw new Error(`there is no entry ${name}`);
      if (entry.availability !== Availability[availability])
        throw new Error(`${name} is ${Availability[entry.availability]}, not ${availability}`);
      return entry;
    }, withinMs);
  }

  /** Waits until the service has sent a heartbeat: from then on its stream's end is noticed. */
  async hasHeartbeat(serviceId: string): Promise<void> {
    const { registry } = this.connect();
    await eventually(async () => {
      const { service } = await registry.getService({ id: serviceId });
      const [seen, created] = [service?.lastSeenTime, service?.createTime].map(
        (time) => time && timestampMs(time),
      );
      if (!seen || !created || seen <= created) throw new Error("no heartbeat yet");
    });
  }

  /** What `pulse clients list --json` prints, parsed. */
  async cliEntries(...flags: string[]) {
    const { stdout } = await this.group.run("pulse", [
      "clients",
      "list",
      "--json",
      "--pulse",
      this.url,
      "--data",
      this.dataDirectory,
      ...flags,
    ]);
    return fromJsonString(ListDownloadClientsResponseSchema, stdout);
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    await this.group.stop();
  }
}
