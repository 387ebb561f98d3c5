import { Code, ConnectError } from "@connectrpc/connect";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { Scope } from "../../gen/pulse/v1/token_service_pb.js";
import type { Random } from "../../src/lib/random.js";
import { HeartbeatClient } from "./heartbeat-client.js";
import { type Clients, HAUL } from "./pulse.js";

/** One of these, each as likely as the others. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random.next() * items.length)] as Item;
}

/** What may go wrong with a random command while Pulse comes and goes, and is no bug. */
const EXPECTED: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Aborted,
  Code.Canceled,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.DeadlineExceeded,
]);

/** A connection that breaks while a request is written is no answer of Pulse. */
function isExpected(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  return EXPECTED.has(error.code) || /EPIPE|ECONNRESET/.test(error.rawMessage);
}

export interface OperationsOptions {
  readonly random: Random;
  /** By HTTP/1.1, so that no channel has to find a Pulse that was away. With scope `admin`. */
  readonly unary: () => Clients;
  /**
   * By gRPC, for heartbeats, on a connection that is new each time: Node 20 may send empty
   * frames without end (nodejs/node#52952) if streams of one connection are cancelled
   * while something waits to be sent on them.
   */
  readonly streaming: () => Clients;
  /** Of a qBittorrent on loopback whose password is `right`. */
  readonly clientPort: number;
  /** Characters of the largest settings. */
  readonly maxSettings: number;
  /** Of the leases that run out during the test, in ms; others last. */
  readonly shortTtlMs: number;
}

const INSTANCES = 10;

/** A stack of services and an operator, who all do something at random. */
export class RandomOperations {
  readonly #options: OperationsOptions;
  readonly #leases = new Map<string, string>();
  readonly #beats = new Map<string, HeartbeatClient>();
  readonly #entryIds: string[] = [];
  readonly #tokenIds: string[] = [];
  #sequence = 0n;
  /** What failed that never should. */
  readonly broken: string[] = [];
  done = 0;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** Does something; its failure is recorded if it is none that must be expected. */
  async one(): Promise<void> {
    const { random } = this.#options;
    const [name, action] = pick(random, [
      ["register", () => this.#register()],
      ["register", () => this.#register()],
      ["register", () => this.#register()],
      ["deregister", () => this.#deregister()],
      ["heartbeat", () => this.#beat()],
      ["heartbeat", () => this.#beat()],
      ["heartbeat", () => this.#beat()],
      ["goodbye", () => this.#goodbye()],
      ["break a stream", async () => this.#break()],
      ["create", () => this.#create()],
      ["update", () => this.#update()],
      ["update", () => this.#update()],
      ["update", () => this.#update()],
      ["delete", () => this.#delete()],
      ["restore", () => this.#restore()],
      ["test", () => this.#test()],
      ["token", () => this.#makeToken()],
    ] as const);
    try {
      await action();
    } catch (error) {
      if (!isExpected(error)) this.broken.push(`${name}: ${error}`);
    }
    this.done++;
  }

  /** Ends the heartbeat streams. */
  stop(): void {
    for (const stream of this.#beats.values()) stream.break();
    this.#beats.clear();
  }

  #instance(): string {
    return `instance-${Math.floor(this.#options.random.next() * INSTANCES)}`;
  }

  async #register(): Promise<void> {
    const { random, unary, shortTtlMs } = this.#options;
    const instanceId = this.#instance();
    const isClient = random.next() < 0.8;
    const { service, lease, downloadClient } = await unary().registry.register({
      ...HAUL,
      service: {
        name: pick(random, [instanceId, "haul"]),
        type: isClient ? "download-client" : "media-manager",
        kind: pick(random, ["qbittorrent", "qbittorrent", "sabnzbd", "aria2"]),
        apiUrl: `http://127.0.0.1:${this.#port()}`,
        version: pick(random, ["1", "2"]),
        capabilities: pick(random, [[], ["tv"], ["tv", "films"]]),
      },
      instanceId,
      serviceApiKey: pick(random, ["right", "wrong"]),
      status: pick(random, [ServiceStatus.ONLINE, ServiceStatus.DEGRADED]),
      requestedTtl:
        random.next() < 0.4
          ? { seconds: 0n, nanos: shortTtlMs * 1_000_000 }
          : { seconds: 60n, nanos: 0 },
    });
    if (service && lease) this.#leases.set(instanceId, lease.id);
    if (downloadClient) this.#know(downloadClient.id);
  }

  /** Of the download client, or of nobody. */
  #port(): number {
    return pick(this.#options.random, [this.#options.clientPort, 1]);
  }

  #know(entryId: string): void {
    if (!this.#entryIds.includes(entryId)) this.#entryIds.push(entryId);
  }

  async #deregister(): Promise<void> {
    const { instanceSecret } = HAUL;
    await this.#options.unary().registry.deregister({
      instanceId: this.#instance(),
      instanceSecret,
    });
  }

  async #beat(): Promise<void> {
    const status = pick(this.#options.random, [ServiceStatus.ONLINE, ServiceStatus.DEGRADED]);
    await this.#send({ status, statusReason: pick(this.#options.random, ["", "disk full"]) });
  }

  async #goodbye(): Promise<void> {
    await this.#send({ goodbye: true });
  }

  #break(): void {
    const [instance, stream] = [...this.#beats][0] ?? [];
    if (instance === undefined) return;
    stream?.break();
    this.#beats.delete(instance);
  }

  async #send(beat: object): Promise<void> {
    const instanceId = this.#instance();
    const leaseId = this.#leases.get(instanceId);
    if (leaseId === undefined) return;
    const known = this.#beats.get(instanceId);
    const stream = known ?? new HeartbeatClient(this.#options.streaming().registry);
    this.#beats.set(instanceId, stream);
    stream.send({ leaseId, sequence: ++this.#sequence, ...beat });
    // Its answer may be that of another one, or of nobody if Pulse stops.
    const answered = stream.event().then(
      () => true,
      () => false,
    );
    const inTime = await Promise.race([
      answered,
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300).unref()),
    ]);
    if (inTime) return;
    stream.break();
    if (this.#beats.get(instanceId) === stream) this.#beats.delete(instanceId);
  }

  #settings(): { text: string } {
    const { random, maxSettings } = this.#options;
    return { text: "x".repeat(Math.floor(random.next() ** 3 * maxSettings)) };
  }

  async #create(): Promise<void> {
    const { random, unary } = this.#options;
    const { downloadClient } = await unary().downloadClients.createDownloadClient({
      downloadClient: {
        name: `by-hand-${Math.floor(random.next() * 6)}`,
        kind: pick(random, ["qbittorrent", "sabnzbd"]),
        host: "127.0.0.1",
        port: this.#port(),
        username: "admin",
        password: pick(random, ["right", "wrong"]),
        settings: this.#settings(),
      },
      disabled: random.next() < 0.3,
    });
    if (downloadClient) this.#know(downloadClient.id);
  }

  #entryId(): string {
    return pick(this.#options.random, [...this.#entryIds, "none"]);
  }

  async #update(): Promise<void> {
    const { random, unary } = this.#options;
    const paths = pick(random, [
      ["enabled"],
      ["enabled"],
      ["settings"],
      ["settings", "priority"],
      ["name"],
      ["kind", "protocol"],
      ["overrides.password", "overrides.port"],
      ["overrides"],
      ["tags"],
    ]);
    await unary().downloadClients.updateDownloadClient({
      downloadClient: {
        id: this.#entryId(),
        name: `by-hand-${Math.floor(random.next() * 6)}`,
        enabled: random.next() < 0.5,
        priority: 1 + Math.floor(random.next() * 100),
        kind: pick(random, ["qbittorrent", "sabnzbd"]),
        protocol: Protocol.UNSPECIFIED,
        tags: pick(random, [[], ["anime"]]),
        settings: this.#settings(),
        overrides: pick(random, [
          {},
          { username: "me" },
          { port: this.#port(), password: pick(random, ["right", "wrong"]) },
        ]),
      },
      updateMask: { paths },
    });
  }

  async #delete(): Promise<void> {
    await this.#options.unary().downloadClients.deleteDownloadClient({ id: this.#entryId() });
  }

  async #restore(): Promise<void> {
    await this.#options.unary().downloadClients.restoreDownloadClient({ id: this.#entryId() });
  }

  async #test(): Promise<void> {
    await this.#options.unary().downloadClients.testDownloadClient({ id: this.#entryId() });
  }

  /** Commits that no watcher is told of, but for their revision. */
  async #makeToken(): Promise<void> {
    const { tokens } = this.#options.unary();
    const id = this.#tokenIds.pop();
    if (id !== undefined) await tokens.revokeToken({ id });
    else
      this.#tokenIds.push((await tokens.createToken({ name: "made", scopes: [Scope.OBSERVE] })).id);
  }
}
