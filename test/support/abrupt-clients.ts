import { setTimeout as sleep } from "node:timers/promises";
import { createConnectTransport } from "@connectrpc/connect-node";
import { clientsOn, type PulseConnection } from "../../src/client/clients.js";
import { connectPulse } from "../../src/client/index.js";
import type { Random } from "../../src/lib/random.js";
import { HeartbeatClient } from "./heartbeat-client.js";
import { HAUL, LONG_TTL } from "./pulse.js";
import { recordClient, sayAndExit } from "./recorded-client.js";

type Call = (connection: PulseConnection) => Promise<unknown>;

/** Exits at a time. */
const LANES = 24;
/** As long as a watch is recorded: its snapshot and some changes, not its whole life. */
const WATCH_MS = 200;

/** Clients of one Pulse that exit in the middle of what they say, or are told. */
export class AbruptClients {
  private constructor(
    private readonly port: number,
    private readonly said: readonly Buffer[],
    private readonly random: Random,
  ) {}

  /** Records at the Pulse on `port` what they say: gRPC and HTTP/1.1, calls and streams. */
  static async record(port: number, token: string, random: Random): Promise<AbruptClients> {
    const grpc = (at: number) => connectPulse({ pulse: addressOf(at), token, retry: "never" });
    const http1 = (at: number) => connectByHttp1(addressOf(at), token);
    const leaseId = await register(grpc(port), "abrupt-0");
    const calls: Call[] = [
      (connection) => register(connection, "abrupt-1"),
      ({ downloadClients }) => downloadClients.listDownloadClients({}),
      watch,
    ];
    const beating: Call = ({ registry }) => beat(registry, leaseId);
    const said: Buffer[] = [];
    for (const call of [...calls, beating]) said.push(await recorded(port, grpc, call));
    for (const call of calls) said.push(await recorded(port, http1, call));
    return new AbruptClients(port, said, random);
  }

  /** Resolves when so many have come and are gone. */
  async exit(count: number): Promise<void> {
    let begun = 0;
    const lane = async () => {
      while (begun < count) {
        const said = this.said[begun++ % this.said.length] as Buffer;
        await sayAndExit(this.port, said, this.random);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }
}

function recorded(
  port: number,
  connect: (at: number) => PulseConnection,
  call: Call,
): Promise<Buffer> {
  return recordClient(port, async (at) => {
    const connection = connect(at);
    await call(connection);
    connection.close();
  });
}

async function register({ registry }: PulseConnection, instanceId: string): Promise<string> {
  const request = { ...HAUL, instanceId, requestedTtl: LONG_TTL };
  return (await registry.register(request)).lease?.id ?? "";
}

async function beat(registry: PulseConnection["registry"], leaseId: string): Promise<void> {
  const stream = new HeartbeatClient(registry);
  for (let sequence = 1n; sequence <= 10n; sequence++) await stream.beat({ leaseId, sequence });
  stream.break();
}

async function watch({ downloadClients }: PulseConnection): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const reading = (async () => {
    for await (const _ of downloadClients.watchDownloadClients({}, { signal }));
  })();
  await sleep(WATCH_MS);
  controller.abort();
  await reading.catch(() => {});
}

function connectByHttp1(baseUrl: string, token: string): PulseConnection {
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return clientsOn({ ...transport, close: () => {} });
}

function addressOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
