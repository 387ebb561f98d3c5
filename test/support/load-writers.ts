import { setTimeout as sleep } from "node:timers/promises";
import type { PulseConnection } from "../../src/client/index.js";
import type { Commit } from "../../src/core/change.js";
import type { Random } from "../../src/lib/random.js";
import { monotonicNow } from "./members.js";
import { HAUL, LONG_TTL } from "./pulse.js";
import { type Status, statusOf } from "./status.js";
import { pick } from "./watch-operations.js";

/** Something that was to be changed, and what became of it. */
export interface Write {
  readonly writer: string;
  readonly kind: "register" | "deregister" | "edit";
  /** As `monotonicNow` tells it. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** `ok`, or code and reason. */
  readonly outcome: string;
  readonly failure: Status | undefined;
  /** What was acknowledged, if it was. */
  readonly acknowledged: Acknowledged | undefined;
}

export interface Acknowledged {
  readonly revision: bigint;
  /** Whether a commit is the one that the caller was told of. */
  readonly isIn: (commit: Commit) => boolean;
}

export interface LoadWritersOptions {
  /** A client that repeats nothing; one for each writer. */
  readonly connect: () => PulseConnection;
  readonly count: number;
  /** How long each waits after a call, in ms. */
  readonly pauseMs: () => number;
  readonly random: Random;
  /** Characters that an operator writes with each edit, to make the database grow; 10. */
  readonly settingsSize?: number;
}

const INSTANCES = 3;
/** A call that failed is not repeated sooner. */
const RETRY_MS = 50;

/**
 * Callers that change things all the time: each registers instances of its own, anew or
 * again with another version, takes them back, and edits their entries.
 */
export class LoadWriters {
  readonly writes: Write[] = [];
  readonly names: readonly string[];
  readonly #options: LoadWritersOptions;
  readonly #running: Promise<unknown>;
  #isStopped = false;

  constructor(options: LoadWritersOptions) {
    this.#options = options;
    this.names = Array.from({ length: options.count }, (_, n) => `writer-${n}`);
    this.#running = Promise.all(this.names.map((name) => this.#write(name)));
  }

  get acknowledged(): readonly Write[] {
    return this.writes.filter(({ outcome }) => outcome === "ok");
  }

  get refused(): readonly Write[] {
    return this.writes.filter(({ outcome }) => outcome !== "ok");
  }

  /** When the first write of each that began since then was acknowledged. Rejects if one has none. */
  firstAcknowledged(sinceAt: number): readonly number[] {
    return this.names.map((name) => {
      const first = this.acknowledged.find((w) => w.writer === name && w.startedAt >= sinceAt);
      if (first) return first.endedAt;
      const newest = this.writes.findLast(({ writer }) => writer === name);
      throw new Error(`${name} does not write: ${newest?.outcome}`);
    });
  }

  /** Resolves when none is under way any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #write(writer: string): Promise<void> {
    const { connect, random, pauseMs } = this.#options;
    const connection = connect();
    const instances = Array.from({ length: INSTANCES }, (_, n) => new Instance(`${writer}-${n}`));
    for (let n = 0; !this.#isStopped; n++) {
      const instance = pick(random, instances);
      const kind = instance.next(random);
      const startedAt = monotonicNow();
      const result = await this.#attempt(connection, instance, kind, `${writer} ${n}`);
      this.writes.push({ writer, kind, startedAt, endedAt: monotonicNow(), ...result });
      await sleep(result.failure ? Math.max(RETRY_MS, pauseMs()) : pauseMs());
    }
  }

  async #attempt(
    connection: PulseConnection,
    instance: Instance,
    kind: Write["kind"],
    mark: string,
  ): Promise<Pick<Write, "outcome" | "failure" | "acknowledged">> {
    try {
      const acknowledged = await this.#change(connection, instance, kind, mark);
      return { outcome: "ok", failure: undefined, acknowledged };
    } catch (error) {
      const failure = statusOf(error);
      const outcome = `${failure.code} ${failure.reason ?? failure.message}`;
      return { outcome, failure, acknowledged: undefined };
    }
  }

  async #change(
    { registry, downloadClients }: PulseConnection,
    instance: Instance,
    kind: Write["kind"],
    mark: string,
  ): Promise<Acknowledged | undefined> {
    const { id: instanceId } = instance;
    switch (kind) {
      case "register": {
        const service = { ...HAUL.service, name: instanceId, version: mark };
        const { revision, downloadClient } = await registry.register({
          ...HAUL,
          instanceId,
          service,
          requestedTtl: LONG_TTL,
        });
        instance.entryId = downloadClient?.id;
        const isIn = ({ services }: Commit) =>
          services.some((each) => each.instanceId === instanceId && each.spec.version === mark);
        return { revision, isIn };
      }
      case "edit": {
        const id = instance.entryId ?? "";
        const text = mark.padEnd(this.#options.settingsSize ?? 10);
        const { revision } = await downloadClients.updateDownloadClient({
          downloadClient: { id, settings: { text } },
          updateMask: { paths: ["settings"] },
        });
        const isIn = ({ entries }: Commit) =>
          entries.some((each) => each.id === id && each.settings.text === text);
        return { revision, isIn };
      }
      case "deregister": {
        // Unknown until it is acknowledged: it may have been carried out and not answered.
        instance.entryId = undefined;
        const { instanceSecret } = HAUL;
        const { revision, removed } = await registry.deregister({ instanceId, instanceSecret });
        if (!removed) return undefined;
        const isIn = ({ services }: Commit) =>
          services.some((each) => each.instanceId === instanceId && each.removed);
        return { revision, isIn };
      }
    }
  }
}

class Instance {
  /** Of the entry that is there for certain. */
  entryId: string | undefined;

  constructor(readonly id: string) {}

  next(random: Random): Write["kind"] {
    if (this.entryId === undefined) return "register";
    return pick(random, ["register", "edit", "edit", "edit", "deregister"]);
  }
}

/** How long the longest of them took, in ms. */
export function longestMs(writes: readonly Write[]): number {
  return Math.max(0, ...writes.map(({ startedAt, endedAt }) => endedAt - startedAt));
}

/** Acknowledged writes that the history does not have, each at its revision. Should be none. */
export function lostWrites(writes: readonly Write[], commits: readonly Commit[]): string[] {
  const byRevision = new Map(commits.map((commit) => [commit.revision, commit]));
  return writes.flatMap(({ writer, kind, acknowledged }) => {
    if (!acknowledged) return [];
    const commit = byRevision.get(acknowledged.revision);
    if (commit && acknowledged.isIn(commit)) return [];
    return [`${kind} of ${writer} at ${acknowledged.revision} is ${commit ? "another" : "lost"}`];
  });
}
