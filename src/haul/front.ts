import { statfs } from "node:fs/promises";
import type { ClientTarget, Probe } from "../adapters/adapter.js";
import { createAdapter } from "../adapters/probe.js";
import type { ServiceDescription } from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { Fronting } from "./fronting.js";
import { startProber } from "./prober.js";
import type { Register } from "./registrar.js";
import type { StatusView } from "./status.js";

export interface FrontOptions {
  /** Asked before each probe, since an aria2 of our own may move. */
  readonly target: () => ClientTarget;
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
  /** Says goodbye and leaves no timer. */
  stop(): Promise<void>;
}

/** Stands in front of a download client: asks it, and tells Pulse. */
export function startFronting(options: FrontOptions): Duty {
  const { clock, random } = options;
  const fronting = new Fronting(options.target(), options);
  let adapter = createAdapter(fronting.target, { clock });

  async function probe(signal: AbortSignal): Promise<Probe> {
    const target = options.target();
    if (target.url !== fronting.target.url) {
      fronting.moveTo(target);
      adapter = createAdapter(target, { clock });
    }
    const answer = await adapter.probe(signal);
    if (answer.outcome !== "ok" || options.localDirectory === undefined) return answer;
    return { ...answer, load: { ...answer.load, ...(await freeSpace(options.localDirectory)) } };
  }

  const prober = startProber({
    firstInMs: options.firstInMs,
    probe,
    onProbe: (answer, nextInMs) => fronting.take(answer, nextInMs),
    clock,
    random,
  });
  return {
    status: () => ({ registration: fronting.registration, client: fronting }),
    async stop() {
      await prober.stop();
      await fronting.registration?.close();
    },
  };
}

async function freeSpace(directory: string): Promise<{ freeBytes?: number }> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return { freeBytes: bavail * bsize };
  } catch {
    return {}; // unknown
  }
}
