import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { DEFAULT_LEASE_POLICY, type LeasePolicy } from "../core/lease.js";
import { RegistryTime } from "../core/registry-time.js";
import { type Clock, systemClock } from "../lib/clock.js";
import { inUrl, isLoopbackHost } from "../lib/host.js";
import type { Log } from "../lib/log.js";
import { type Random, systemRandom } from "../lib/random.js";
import { openPostgresStore } from "../store/postgres.js";
import { openSqliteStore } from "../store/sqlite.js";
import type { Store } from "../store/store.js";
import { createHealth } from "../wire/health.js";
import { createReflection } from "../wire/reflection.js";
import { mount, startServer, type WireServer } from "../wire/server.js";
import { startCompaction } from "./compaction.js";
import { createDownloadClientService, DOWNLOAD_CLIENT_SCOPES } from "./download-client-service.js";
import { SWEEP_INTERVAL_MS, startExpiry } from "./expiry.js";
import { startForgetting } from "./forgetting.js";
import { type GuardOptions, guard } from "./guard.js";
import { createHeartbeatStreams } from "./heartbeat-streams.js";
import { DEFAULT_HISTORY_POLICY, History, type HistoryPolicy } from "./history.js";
import { Leases } from "./leases.js";
import { startPresenceFlush } from "./presence-flush.js";
import { createRegistry } from "./registry.js";
import { createRegistryService, REGISTRY_SCOPES } from "./registry-service.js";
import { joinAsNode } from "./shared-node.js";
import { StartError, toStartError } from "./start-error.js";
import { drainingError } from "./status.js";
import { createTokenService, TOKEN_SCOPES } from "./token-service.js";
import { prepareTokenFiles, type TokenFiles } from "./tokens.js";
import { DEFAULT_WATCH_POLICY, type WatchPolicy } from "./watch-hub.js";
import { watchStore } from "./watched-store.js";
import { startWatching } from "./watching.js";

export interface PulseOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Made if it is not there, for its owner alone. */
  readonly dataDirectory: string;
  /**
   * `postgres://…`: a database that other nodes may use too. Left out, Pulse has one of
   * its own in the data directory.
   */
  readonly database?: string;
  /** 32 bytes as hex or base64 that encrypt the API keys; left out, a key file in the data directory. */
  readonly secretKey?: string;
  /** Allows plain text beyond loopback. */
  readonly insecure?: boolean;
  readonly log: Log;
  readonly policy?: Partial<LeasePolicy>;
  /** Registrations that one Pulse holds; 100,000. */
  readonly maxServices?: number;
  /** How much of the past is kept for watchers and timelines. */
  readonly history?: Partial<HistoryPolicy>;
  readonly watch?: Partial<WatchPolicy>;
  /** A service that is OFFLINE for longer is removed, in ms while Pulse runs; 30 days. Infinity: never. */
  readonly forgetAfterMs?: number;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

export interface PulseServer {
  /** `http://host:port` */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly tokenFiles: TokenFiles;
  /** Resolves if Pulse cannot go on, though it still answers: stop it, and start another. */
  readonly failed: Promise<Error>;
  /** Drains and stops within 10 s; the same promise if called again. */
  stop(): Promise<void>;
}

/** A step of registry time, in ms: what is longer was a stall. Sweeps come four times as often. */
const MAX_STEP_MS = 4 * SWEEP_INTERVAL_MS;
/** How long clients wait before they look for a Pulse that said it stops. */
const DRAIN_RETRY_AFTER_MS = 1_000;
/** Calls that run get this long to finish; with the rest of a stop it stays below 10 s. */
const DRAIN_GRACE_MS = 5_000;
const DEFAULT_MAX_SERVICES = 100_000;
const DEFAULT_FORGET_AFTER_MS = 30 * 24 * 3_600_000;
/** Name in grpc.health.v1: NOT_SERVING while expiry is held. */
const EXPIRY_HEALTH = "pulse.expiry";
/** Name in grpc.health.v1: NOT_SERVING while the database cannot be written. */
const STORE_HEALTH = "pulse.store";

/**
 * Starts Pulse on a store of its own.
 * @throws StartError if the store cannot be opened or the address cannot be bound.
 */
export async function startPulse(options: PulseOptions): Promise<PulseServer> {
  const { listen, dataDirectory, log, clock = systemClock, random = systemRandom } = options;
  refuseExposure(listen.host, options.insecure ?? false, log);
  const store = await openStore(options, random);
  try {
    return await startOn(store, options, clock, random);
  } catch (error) {
    await store.close();
    throw toStartError(error, listen, dataDirectory);
  }
}

async function startOn(
  opened: Store,
  options: PulseOptions,
  clock: Clock,
  random: Random,
): Promise<PulseServer> {
  const { listen, dataDirectory, log } = options;
  const policy = { ...DEFAULT_LEASE_POLICY, ...options.policy };
  const historyPolicy = { ...DEFAULT_HISTORY_POLICY, ...options.history };
  const stored = await opened.load(historyPolicy.maxCommits);
  const health = createHealth([
    RegistryService.typeName,
    DownloadClientService.typeName,
    TokenService.typeName,
    EXPIRY_HEALTH,
    STORE_HEALTH,
  ]);
  const healthOf = (isWell: boolean) => (isWell ? "serving" : "not-serving");
  const store = watchStore(opened, log, (isAvailable) =>
    health.set(STORE_HEALTH, healthOf(isAvailable)),
  );
  const { shared } = store;
  const { port } = listen;
  const { registryTimeMs } = stored;
  const node =
    shared && (await joinAsNode({ shared, registryTimeMs, port, policy, clock, random, log }));
  const ownTime = new RegistryTime(registryTimeMs, () => clock.now(), MAX_STEP_MS);
  const registryNow = node?.registryNow ?? (() => ownTime.now());
  const { maxCommits: maxHistory } = historyPolicy;
  const registry = createRegistry({ store, stored, clock, random, registryNow, log, maxHistory });
  const history = new History(stored, historyPolicy);
  // First of all, since all others look it up.
  registry.onCommit((commit, changes) => history.append(commit, changes));
  registry.onReload((reloaded) => history.restart(reloaded));
  const tokenFiles = await prepareTokenFiles({
    directory: join(dataDirectory, "tokens"),
    isShared: shared !== undefined,
    registry,
    random,
    log,
  });
  const leases = new Leases({ registry, policy, clock, registryNow, log, node: node?.node });
  const streams = createHeartbeatStreams(leases);
  const watching = startWatching({
    registry,
    leases,
    history,
    clock,
    policy: { ...DEFAULT_WATCH_POLICY, ...options.watch },
    log,
  });

  const compaction = startCompaction({ history, store, clock, log });
  registry.onCommit(() => compaction.afterCommit());

  node?.start(registry, leases);
  const flush = node ? undefined : startPresenceFlush({ leases, store, clock, registryNow, log });
  const expiry = startExpiry({
    leases,
    ...(node && { dueElsewhere: node.dueElsewhere }),
    clock,
    registryNow,
    windowMs: policy.defaultTtlMs,
    log,
    onHold: (isHeld) => health.set(EXPIRY_HEALTH, healthOf(!isHeld)),
  });

  const forgetting = startForgetting({
    registry,
    clock,
    registryNow,
    forgetAfterMs: options.forgetAfterMs ?? DEFAULT_FORGET_AFTER_MS,
    log,
  });

  let stopping: Promise<void> | undefined;
  const guarding: GuardOptions = {
    tokenById: (id) => registry.catalog.token(id),
    learnTokens: shared && (() => registry.refresh()),
    admit: () => {
      if (stopping) throw drainingError(DRAIN_RETRY_AFTER_MS);
    },
    log,
    random,
  };
  const maxServices = options.maxServices ?? DEFAULT_MAX_SERVICES;
  const wire = await startServer({
    ...listen,
    clock,
    mounts: [
      mount(
        RegistryService,
        guard(
          RegistryService,
          createRegistryService({
            registry,
            leases,
            streams,
            policy,
            maxServices,
            history,
            hub: watching.services,
          }),
          REGISTRY_SCOPES,
          guarding,
        ),
      ),
      mount(
        DownloadClientService,
        guard(
          DownloadClientService,
          createDownloadClientService({
            registry,
            leases,
            history,
            hub: watching.downloadClients,
            clock,
          }),
          DOWNLOAD_CLIENT_SCOPES,
          guarding,
        ),
      ),
      mount(
        TokenService,
        guard(TokenService, createTokenService(registry, random), TOKEN_SCOPES, guarding),
      ),
      health.mount,
      ...createReflection(
        [RegistryService, DownloadClientService, TokenService, health.service],
        [file_google_rpc_error_details],
      ),
    ],
    routes: (request, response) => {
      if (request.url !== "/healthz") return false;
      const body = {
        status: stopping ? "draining" : "ok",
        store: store.isAvailable ? "ok" : "unavailable",
        expiry: expiry.isHeld ? "held" : "ok",
      };
      sendJson(response, stopping ? 503 : 200, body);
      return true;
    },
    onInternalError: (path, error) => log.error({ err: error, path }, "rpc.adapter_error"),
  }).catch(async (error: unknown) => {
    await stopTimers();
    await compaction.stop();
    await node?.leave();
    watching.drain(0);
    throw error;
  });

  async function stopTimers(): Promise<void> {
    forgetting.stop();
    expiry.stop();
    await node?.leaveInstances();
    await flush?.stop();
  }

  async function stopAll(): Promise<void> {
    log.info({}, "pulse.draining");
    health.shutdown();
    const compacted = compaction.stop(); // it may take a while: nobody waits for it before the drain
    await stopTimers(); // first, so that streams that end now break nobody's lease
    streams.drain(DRAIN_RETRY_AFTER_MS);
    watching.drain(DRAIN_RETRY_AFTER_MS);
    await wire.stop(DRAIN_GRACE_MS);
    await registry.idle();
    await compacted;
    await node?.leave();
    await store.close();
    log.info({}, "pulse.stopped");
  }

  const url = urlOf(wire);
  const { serviceCount: services } = registry.catalog;
  log.info({ url, dataDirectory, database: shared?.name, services }, "pulse.listening");
  return {
    url,
    host: wire.host,
    port: wire.port,
    tokenFiles,
    failed: registry.diverged.then((error) => {
      health.set("", "not-serving");
      return new StartError(
        `the database ${shared?.name ?? `in ${dataDirectory}`} was changed by other hands: see to it that nobody does so while Pulse runs, and start Pulse anew`,
        { cause: error },
      );
    }),
    stop: () => {
      stopping ??= stopAll();
      return stopping;
    },
  };
}

function refuseExposure(host: string, insecure: boolean, log: Log): void {
  if (isLoopbackHost(host)) return;
  const exposed = `without TLS everyone on the network of ${host} can read the tokens and the passwords of all download clients`;
  if (!insecure)
    throw new StartError(`${exposed}: listen on 127.0.0.1, or accept that with --insecure`);
  log.warn({ host }, `pulse.insecure: ${exposed}`);
}

async function openStore(options: PulseOptions, random: Random): Promise<Store> {
  const { dataDirectory: directory, secretKey, database } = options;
  const common = { directory, random, ...(secretKey === undefined ? {} : { secretKey }) };
  try {
    return database === undefined
      ? await openSqliteStore(common)
      : await openPostgresStore({ ...common, url: database });
  } catch (error) {
    throw toStartError(error, options.listen, directory);
  }
}

function urlOf({ host, port }: WireServer): string {
  return `http://${inUrl(host)}:${port}`;
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
