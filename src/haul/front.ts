import { statfs } from "node:fs/promises";
import type { Adapter, ClientTarget, Probe } from "../adapters/adapter.js";
import { createAdapter } from "../adapters/probe.js";
import type { ServiceDescription } from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { Fronting } from "./fronting.js";
import { startProber } from "./prober.js";
import type { Register } from "./registrar.js";
import { isTold, type Rotate, RotationRefused } from "./rotation.js";
import type { StatusView } from "./status.js";

export interface FrontOptions {
  /** Asked before each probe, since an aria2 of our own may move. */
  readonly target: () => ClientTarget;
  /** Finishes what a crash left behind, before a probe; its own probe counts if it made one. */
  readonly settle?: (signal: AbortSignal) => Promise<Probe | undefined>;
  /**
   * Gives the client another secret, which `target` tells then, and logs in with it.
   * `announce` tells Pulse of it before it is proven.
   */
  readonly changeSecret: (
    adapter: Adapter,
    signal: AbortSignal,
    announce: () => void,
  ) => Promise<Probe>;
  /** Where it puts files, if that is surely a directory of this host. */
  readonly localDirectory: string | undefined;
  /** How long to leave it before it is asked for the first time. */
  readonly firstInMs: number;
  /** What to register, given the version found. */
  readonly describe: (target: ClientTarget, version: string) => ServiceDescription;
  readonly register: Register;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/** What Haul does for Pulse: registers something and keeps it alive. */
export interface Duty {
  readonly status: () => StatusView;
  readonly rotate: Rotate;
  /** Says goodbye and leaves no timer. */
  stop(): Promise<void>;
}

/** Stands in front of a download client: asks it, and tells Pulse. */
export function startFronting(options: FrontOptions): Duty {
  const { clock, random } = options;
  const fronting = new Fronting(options.target(), options);
  let adapter = createAdapter(fronting.target, { clock });

  const stopping = new AbortController();
  let busy: Promise<unknown> = Promise.resolve();
  /** One at a time: an adapter has one session, and a secret is changed between two probes. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const done = busy.then(work);
    busy = done.catch(() => {});
    return done;
  }

  function follow(): void {
    const target = options.target();
    if (isSame(target, fronting.target)) return;
    fronting.moveTo(target);
    adapter = createAdapter(target, { clock });
  }

  async function probe(signal: AbortSignal): Promise<Probe> {
    const settled = await options.settle?.(signal);
    follow();
    const answer = settled ?? (await adapter.probe(signal));
    if (answer.outcome !== "ok" || options.localDirectory === undefined) return answer;
    return { ...answer, load: { ...answer.load, ...(await freeSpace(options.localDirectory)) } };
  }

  const prober = startProber({
    firstInMs: options.firstInMs,
    probe: (signal) => alone(() => probe(signal)),
    onProbe: (answer, nextInMs) => fronting.take(answer, nextInMs),
    clock,
    random,
  });
  return {
    status: () => ({ registration: fronting.registration, client: fronting }),
    async rotate(_, caller) {
      const signal = AbortSignal.any([caller, stopping.signal]);
      await alone(async () => {
        const { outcome } = fronting.probe ?? {};
        if (outcome === "authentication-failed" || outcome === "banned") throw refusal();
        const answer = await options.changeSecret(adapter, signal, () => {
          follow();
          fronting.announce();
        });
        follow();
        fronting.take(answer, undefined);
      });
      const { registration, target } = fronting;
      const { kind, secret = "" } = target;
      const pulse = registration ? await isTold(registration, secret, clock, signal) : "waiting";
      return { what: kind === "haul" ? "api-key" : kind, pulse };
    },
    async stop() {
      stopping.abort();
      await prober.stop();
      await fronting.registration?.close();
    },
  };
}

function refusal(): RotationRefused {
  return new RotationRefused(
    "the download client does not let Haul in, so it cannot be given another secret: give Haul the right one, and restart it",
  );
}

function isSame(a: ClientTarget, b: ClientTarget): boolean {
  return a.url === b.url && a.secret === b.secret;
}

async function freeSpace(directory: string): Promise<{ freeBytes?: number }> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return { freeBytes: bavail * bsize };
  } catch {
    return {}; // unknown
  }
}
