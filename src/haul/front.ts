import type { Adapter, ClientTarget, Probe, ProbeSuccess } from "../adapters/adapter.js";
import { createAdapter } from "../adapters/probe.js";
import type { Registration, ServiceDescription } from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { AdvertisedAddress } from "./advertised-address.js";
import type { HealthRules } from "./client-health.js";
import { createFronting, type Finding, type FrontingOptions } from "./fronting.js";
import { startProber } from "./prober.js";
import { isTold, type Rotated, RotationRefused } from "./rotation.js";
import type { ServiceView } from "./status.js";
import type { VpnState } from "./vpn-check.js";

/** What a Front does with its client; it may change from one probe to the next. */
export interface FrontedBy {
  /** Asked before each probe: it may have moved, or have another secret. */
  readonly target: ClientTarget;
  /** Finishes what a crash left behind, before a probe; its own probe counts if it made one. */
  settle?(signal: AbortSignal): Promise<Probe | undefined>;
  /**
   * Gives the client another secret, which `target` tells then, and logs in with it.
   * `announce` tells Pulse of it before it is proven.
   */
  changeSecret(adapter: Adapter, signal: AbortSignal, announce: () => void): Promise<Probe>;
  /** How managers reach a client that has answered at this URL. */
  addressOf(url: string): Promise<AdvertisedAddress>;
  /** Free space where it puts files, of a client that does not tell. */
  freeBytes?(probe: ProbeSuccess): Promise<number | undefined>;
  /** Undefined: no VPN is asked for. */
  vpn?(): Promise<VpnState>;
  /** What to register of it. */
  describe(target: ClientTarget, apiUrl: string, probe: ProbeSuccess): ServiceDescription;
  readonly rules: HealthRules;
  /** Leaves nothing running. */
  stop?(): Promise<void>;
}

export interface FrontOptions {
  readonly client: FrontedBy;
  /** How long to leave it before it is asked for the first time; 0. */
  readonly firstInMs?: number;
  readonly register: FrontingOptions["register"];
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * How long a session with a client is kept, in ms. A new one costs it more, and some go on
 * with theirs when the password is changed: managers would be refused, and nobody know.
 */
const SESSION_MS = 10 * 60_000;

/** Stands in front of one download client: asks it, and tells Pulse. */
export interface Front {
  status(): ServiceView;
  /**
   * Goes on with what is made then, while nothing is under way with the client, and asks at
   * once, unless that would only repeat a log-in that was refused.
   * @throws what `make` throws, and then goes on as before.
   */
  change(make: () => Promise<FrontedBy>): Promise<void>;
  rotate(signal: AbortSignal): Promise<Rotated>;
  /** Says goodbye, or removes the registration, and leaves no timer. */
  stop(options?: { readonly deregister?: boolean }): Promise<void>;
}

export function startFront(options: FrontOptions): Front {
  const { clock, random, log, register } = options;
  let { client } = options;
  let { target } = client;
  let adapter = createAdapter(target, { clock });
  let adapterAt = clock.now();
  /** How the client has refused the credentials of `target`: they are not sent to it again. */
  let refused: Probe | undefined;
  const fronting = createFronting({
    register,
    describe: (target, apiUrl, probe) => client.describe(target, apiUrl, probe),
    rules: () => client.rules,
    log,
    clock,
  });

  const stopping = new AbortController();
  let busy: Promise<unknown> = Promise.resolve();
  /** One at a time: an adapter has one session, and a secret is changed between two probes. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const done = busy.then(work);
    busy = done.catch(() => {});
    return done;
  }

  function follow(): void {
    const isOld = clock.now() - adapterAt >= SESSION_MS;
    const isKnown = isSame(client.target, target);
    if (isKnown && !isOld) return;
    if (!isKnown) refused = undefined;
    target = client.target;
    adapter = createAdapter(target, { clock });
    adapterAt = clock.now();
  }

  /** All that a probe alone does not tell. */
  async function complete(probe: Probe): Promise<Finding> {
    if (probe.outcome !== "ok") return { target, probe };
    const [vpn, address, freeBytes = probe.load.freeBytes] = await Promise.all([
      client.vpn?.(),
      client.addressOf(target.url),
      probe.load.freeBytes === undefined ? client.freeBytes?.(probe) : undefined,
    ]);
    const load = { ...probe.load, ...(freeBytes !== undefined && { freeBytes }) };
    return { target, probe: { ...probe, load }, address, ...(vpn && { vpn }) };
  }

  async function ask(signal: AbortSignal): Promise<Probe> {
    const settled = await client.settle?.(signal);
    follow();
    const probe = settled ?? refused ?? (await adapter.probe(signal));
    if (probe.outcome === "authentication-failed") refused = probe;
    return probe;
  }

  let found: Finding | undefined;
  const prober = startProber({
    ...(options.firstInMs !== undefined && { firstInMs: options.firstInMs }),
    async probe(signal) {
      found = await alone(async () => complete(await ask(signal)));
      return found.probe;
    },
    onProbe(_, nextInMs) {
      if (found) fronting.take(found, nextInMs);
    },
    clock,
    random,
  });

  async function toldOf(registration: Registration | undefined, signal: AbortSignal) {
    const { secret = "" } = target;
    return registration ? await isTold(registration, secret, clock, signal) : "waiting";
  }

  return {
    status: () => {
      const { finding, foundAt, health, registration } = fronting;
      const { kind, url } = client.target;
      return { registration, client: { kind, url, finding, foundAt, health } };
    },
    change: (make) =>
      alone(async () => {
        const next = await make();
        await client.stop?.();
        client = next;
        prober.askNow();
      }),
    async rotate(caller) {
      const signal = AbortSignal.any([caller, stopping.signal]);
      await alone(async () => {
        const { outcome } = await ask(signal);
        if (outcome === "authentication-failed" || outcome === "banned") {
          prober.askNow();
          throw refusal();
        }
        const probe = await client.changeSecret(adapter, signal, () => {
          follow();
          fronting.announce(target);
        });
        follow();
        fronting.take(await complete(probe), undefined);
      });
      const { kind } = target;
      const pulse = await toldOf(fronting.registration, signal);
      return { what: kind === "haul" ? "api-key" : kind, pulse };
    },
    async stop(how) {
      stopping.abort();
      await Promise.all([prober.stop(), client.stop?.()]); // a probe may wait for what that ends
      await fronting.registration?.close(how);
    },
  };
}

function refusal(): RotationRefused {
  return new RotationRefused(
    "the download client does not let Haul in, so it cannot be given another secret: give Haul the right one",
  );
}

function isSame(a: ClientTarget, b: ClientTarget): boolean {
  return (["kind", "url", "username", "secret"] as const).every((key) => a[key] === b[key]);
}
