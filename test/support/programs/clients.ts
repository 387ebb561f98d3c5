// Clients of every kind, in one process: services that stay registered, watches that go
// on for ever, and callers that use one connection for several things at once until it
// is cut. Tells how many of them are well, and what they have lost.
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import {
  connectPulse,
  type PulseConnection,
  startRegistration,
  watchDownloadClients,
} from "../../../src/client/index.js";
import type { ClientsCommand, ClientsConfig } from "../clients.js";
import { HeartbeatClient } from "../heartbeat-client.js";
import { HAUL } from "../pulse.js";
import { say } from "../say.js";

/** Longer than a call takes, so that none is left when callers rest. */
const CALM_MS = 200;
const TELL_EACH_MS = 250;
const BEAT_EACH_MS = 5;
const LIST_EACH_MS = 20;
/** After a call that could not even begin, since nobody listens perhaps. */
const PAUSE_MS = 50;

const config = JSON.parse(process.argv[2] ?? "") as ClientsConfig;
const { token, ports, prefix } = config;
const service = { type: "download-client", kind: "qbittorrent", apiUrl: HAUL.service.apiUrl };
const members: boolean[] = [];
const watches: (() => boolean)[] = [];
const callers: boolean[] = [];
const losses = { members: 0, watches: 0, callers: 0 };
let resting: Promise<void> | undefined;
let goOn = () => {};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line) as ClientsCommand;
  if (command.do === "go-on") return goOn();
  resting = new Promise((resolve) => {
    goOn = () => {
      resting = undefined;
      resolve();
    };
  });
  setTimeout(() => say({ msg: "resting" }), CALM_MS);
});

for (let n = 0; n < config.members; n++) stayRegistered(n);
for (let n = 0; n < config.watches; n++) void watch(n);
for (let n = 0; n < config.callers; n++) void callForEver(n);
setInterval(tell, TELL_EACH_MS);

function stayRegistered(n: number): void {
  const id = `${prefix}-member-${n}`;
  members[n] = false;
  const registration = startRegistration({
    pulse: addressOf(n),
    token,
    service: { name: id, ...service },
    identity: { instanceId: id, instanceSecret: `the secret of ${id}` },
    ...(config.ttlMs === undefined ? {} : { ttlMs: config.ttlMs }),
  });
  registration.subscribe(({ type }) => {
    if (type === "disconnected") losses.members++;
    members[n] = type === "registered" || type === "reconnected" || type === "updated";
  });
}

async function watch(n: number): Promise<void> {
  const watch = watchDownloadClients({ pulse: addressOf(n), token });
  watches[n] = () => watch.current().state === "live";
  for await (const { type } of watch) if (type === "stale") losses.watches++;
}

async function callForEver(n: number): Promise<void> {
  let connection: PulseConnection | undefined;
  for (let turn = 0; ; turn++) {
    connection ??= connectPulse({ pulse: addressOf(n), token, retry: "never" });
    await callUntilLost(connection, n);
    callers[n] = false;
    losses.callers++;
    // One that was lost serves again, or is left.
    if (turn % 2 === 0) continue;
    connection.close();
    connection = undefined;
  }
}

/** Registers, sends heartbeats, lists and watches at once, until one of these fails. */
async function callUntilLost(connection: PulseConnection, n: number): Promise<void> {
  const { registry, downloadClients } = connection;
  const id = `${prefix}-caller-${n}`;
  const lost = new AbortController();
  const { signal } = lost;
  try {
    const { lease } = await registry.register({
      service: { name: id, ...service },
      instanceId: id,
      instanceSecret: `the secret of ${id}`,
    });
    const beats = new HeartbeatClient(registry);
    signal.addEventListener("abort", () => beats.break());
    callers[n] = true;
    const beat = async () => {
      for (let sequence = 1n; !signal.aborted; sequence++) {
        await beats.beat({ leaseId: lease?.id ?? "", sequence });
        await sleep(BEAT_EACH_MS);
        await resting;
      }
    };
    const list = async () => {
      while (!signal.aborted) {
        await downloadClients.listDownloadClients({});
        await sleep(LIST_EACH_MS);
        await resting;
      }
    };
    const read = async () => {
      for await (const _ of downloadClients.watchDownloadClients({}, { signal }));
    };
    const running = [beat(), list(), read()];
    await Promise.race(running).catch(() => {});
    lost.abort();
    await Promise.allSettled(running);
  } catch {
    await sleep(PAUSE_MS);
  }
}

function addressOf(n: number): string {
  return `http://127.0.0.1:${ports[n % ports.length]}`;
}

function tell(): void {
  const well =
    members.filter(Boolean).length +
    watches.filter((isLive) => isLive()).length +
    callers.filter(Boolean).length;
  say({ msg: "clients", well, losses });
}
