import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { DEFAULT_LEASE_POLICY } from "../core/lease.js";
import { type Clock, systemClock } from "../lib/clock.js";
import type { FileWatch } from "../lib/file-watch.js";
import { inUrl, isLoopbackHost } from "../lib/host.js";
import type { Log } from "../lib/log.js";
import { type Random, systemRandom } from "../lib/random.js";
import { openPostgresStore } from "../store/postgres.js";
import { hasSqliteStore, openSqliteStore, sqlitePath } from "../store/sqlite.js";
import type { Store } from "../store/store.js";
import { createHealth } from "../wire/health.js";
import { startServer, type WireServer } from "../wire/server.js";
import { createAuditRecorder } from "./audit-recorder.js";
import { startAuditTrimming } from "./audit-trimming.js";
import { actorOf } from "./authenticate.js";
import { watchCertificate } from "./certificate-watch.js";
import { startEngine } from "./engine.js";
import { countFailedAuthentications, DEFAULT_FAILURE_POLICY } from "./failed-authentications.js";
import type { GuardOptions } from "./guard.js";
import { handshakeLog } from "./handshake-log.js";
import { DEFAULT_HISTORY_POLICY } from "./history.js";
import type { PulseOptions, PulseServer } from "./options.js";
import { createServices, SERVICE_NAMES } from "./services.js";
import { StartError, toStartError } from "./start-error.js";
import { DRAIN_RETRY_AFTER_MS, drainingError } from "./status.js";
import { type LoadedTls, readTls, type TlsFiles } from "./tls-files.js";
import { prepareTokenFiles, type TokenFiles } from "./tokens.js";
import { DEFAULT_WATCH_POLICY } from "./watch-hub.js";
import { watchStore } from "./watched-store.js";

/** Calls that run get this long to finish; with the rest of a stop it stays below 10 s. */
const DRAIN_GRACE_MS = 5_000;
const DEFAULT_MAX_SERVICES = 100_000;
const DEFAULT_MAX_SERVICES_PER_TOKEN = 10_000;
const DEFAULT_FORGET_AFTER_MS = 30 * 24 * 3_600_000;
const DEFAULT_AUDIT_AGE_MS = 90 * 24 * 3_600_000;
/** Name in grpc.health.v1: NOT_SERVING while expiry is held. */
const EXPIRY_HEALTH = "pulse.expiry";
/** Name in grpc.health.v1: NOT_SERVING while the database cannot be written. */
const STORE_HEALTH = "pulse.store";

/**
 * Starts Pulse on a store of its own.
 * @throws StartError if the files of TLS cannot be used, the store cannot be opened or the
 * address cannot be bound.
 */
export async function startPulse(options: PulseOptions): Promise<PulseServer> {
  const { listen, dataDirectory, log, clock = systemClock, random = systemRandom } = options;
  if (!options.tls) refuseExposure(listen.host, options.insecure ?? false, log);
  const tls = options.tls && { files: options.tls, loaded: await readTls(options.tls, clock) };
  const store = await openStore(options, random);
  const { secretKey: _, ...others } = options; // it is in no memory for longer than it is needed
  try {
    return await startOn(store, others, tls, clock, random);
  } catch (error) {
    await store.close();
    throw toStartError(error, listen, dataDirectory);
  }
}

async function startOn(
  opened: Store,
  options: Omit<PulseOptions, "secretKey">,
  tls: { readonly files: TlsFiles; readonly loaded: LoadedTls } | undefined,
  clock: Clock,
  random: Random,
): Promise<PulseServer> {
  const { listen, dataDirectory, log } = options;
  const policy = { ...DEFAULT_LEASE_POLICY, ...options.policy };
  const health = createHealth([...SERVICE_NAMES, EXPIRY_HEALTH, STORE_HEALTH]);
  const healthOf = (isWell: boolean) => (isWell ? "serving" : "not-serving");
  const store = watchStore(opened, clock, log, (isAvailable) =>
    health.set(STORE_HEALTH, healthOf(isAvailable)),
  );
  const { shared } = store;
  const engine = await startEngine({
    store,
    port: listen.port,
    policy,
    history: { ...DEFAULT_HISTORY_POLICY, ...options.history },
    watch: { ...DEFAULT_WATCH_POLICY, ...options.watch },
    forgetAfterMs: options.forgetAfterMs ?? DEFAULT_FORGET_AFTER_MS,
    clock,
    random,
    log,
    onHold: (isHeld) => health.set(EXPIRY_HEALTH, healthOf(!isHeld)),
  });
  const { registry, tokenUses } = engine;
  if (shared && registry.catalog.revision === 0n) await warnOfRegistryHere(dataDirectory, log);

  const audit = createAuditRecorder({ store, clock, log });
  const maxAgeMs = options.auditAgeMs ?? DEFAULT_AUDIT_AGE_MS;
  const trimming = startAuditTrimming({ store, maxAgeMs, clock, log });

  let stopping: Promise<void> | undefined;
  const guarding: GuardOptions = {
    tokenById: (id) => registry.catalog.token(id),
    wallNow: () => clock.wallNow(),
    noteUse: (tokenId) => tokenUses.note(tokenId),
    learnTokens: shared && (() => registry.refresh()),
    failedAuthentications: countFailedAuthentications(
      { ...DEFAULT_FAILURE_POLICY, ...options.failedAuthentications },
      clock,
      log,
    ),
    admit: () => {
      if (stopping) throw drainingError(DRAIN_RETRY_AFTER_MS);
    },
    onRefused: ({ context, method, refusal: { kind, reason } }) => {
      const { address, ...token } = actorOf(context);
      const caller = kind === "denied" ? token : { tokenId: "", tokenName: "" };
      const actor = { ...caller, address };
      audit.record({ actor, action: "refused", subject: "", detail: `${method}: ${reason}` });
    },
    log,
    random,
  };
  function answerHealth(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.url !== "/healthz") return false;
    const body = {
      status: stopping ? "draining" : "ok",
      store: store.isAvailable ? "ok" : "unavailable",
      expiry: engine.isExpiryHeld ? "held" : "ok",
    };
    sendJson(response, stopping ? 503 : 200, body);
    return true;
  }

  let tokenFiles: TokenFiles;
  let wire: WireServer;
  try {
    const directory = join(dataDirectory, "tokens");
    const isShared = shared !== undefined;
    tokenFiles = await prepareTokenFiles({ directory, isShared, registry, random, log });
    wire = await startServer({
      ...listen,
      clock,
      mounts: createServices({
        engine,
        store,
        audit,
        health,
        guarding,
        policy,
        rules: {
          maxServices: options.maxServices ?? DEFAULT_MAX_SERVICES,
          maxServicesPerToken: options.maxServicesPerToken ?? DEFAULT_MAX_SERVICES_PER_TOKEN,
          requireApproval: options.requireApproval ?? false,
        },
        allowProbe: options.allowProbe,
        clock,
      }),
      routes: answerHealth,
      ...(tls && {
        tls: { credentials: tls.loaded.credentials, onFailure: handshakeLog(log, clock) },
      }),
      onInternalError: (path, error) => log.error({ err: error, path }, "rpc.adapter_error"),
    });
  } catch (error) {
    await engine.holdStill();
    engine.drain(0);
    await Promise.all([engine.stop(), trimming.stop(), audit.stop()]);
    throw error;
  }

  const url = urlOf(wire, tls ? "https" : "http");
  const { serviceCount: services } = registry.catalog;
  log.info({ url, dataDirectory, database: shared?.name, services }, "pulse.listening");
  const certificates: FileWatch | undefined =
    tls && watchCertificate({ ...tls, clock, log, use: (newer) => wire.useCredentials(newer) });

  async function stopAll(): Promise<void> {
    log.info({}, "pulse.draining");
    certificates?.stop();
    health.shutdown();
    await engine.holdStill();
    engine.drain(DRAIN_RETRY_AFTER_MS);
    await wire.stop(DRAIN_GRACE_MS);
    await Promise.all([engine.stop(), trimming.stop(), audit.stop()]);
    await store.close();
    log.info({}, "pulse.stopped");
  }

  return {
    url,
    host: wire.host,
    port: wire.port,
    tokenFiles,
    failed: registry.diverged.then((error) => {
      health.set("", "not-serving");
      return new StartError(
        shared
          ? `the database ${shared.name} holds another registry than before: start Pulse anew if that is meant`
          : `another program has written to the database in ${dataDirectory}: end it, and start Pulse anew`,
        { cause: error },
      );
    }),
    reloadCertificate: certificates && (() => certificates.reload()),
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
    throw new StartError(
      `${exposed}: make certificates with \`pulse tls init\`, listen on 127.0.0.1, or accept that with --insecure`,
    );
  log.warn({ host }, `pulse.insecure: ${exposed}`);
}

/** Whoever meant to move a registry and forgot to copy it should know before it is used. */
async function warnOfRegistryHere(dataDirectory: string, log: Log): Promise<void> {
  if (await hasSqliteStore(dataDirectory))
    log.warn(
      { path: sqlitePath(dataDirectory) },
      "pulse.registry_not_used: the database is new, and there is a registry in the data directory: to go on with it, stop all Pulses, empty the database and run `pulse migrate`",
    );
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

function urlOf({ host, port }: WireServer, scheme: "http" | "https"): string {
  return `${scheme}://${inUrl(host)}:${port}`;
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
