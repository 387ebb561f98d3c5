import type { Clock } from "../lib/clock.js";
import { type Log, withFields } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { ClientSettings } from "./client-settings.js";
import type { Duty } from "./duty.js";
import { type Front, startFront } from "./front.js";
import type { RegisterIn } from "./registrar.js";
import { RotationRefused } from "./rotation.js";
import { clientStateDirectory, frontOf } from "./settings-front.js";
import { openClientState } from "./state.js";

export interface AgentOptions {
  /** Of the Haul; each client has a directory of its own in it. */
  readonly stateDirectory: string;
  readonly pulse: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly registerIn: RegisterIn;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /**
   * `alone`: one client, which is the Haul: it has the Haul's own identity. `several`: each
   * has its own.
   */
  readonly as: "alone" | "several";
}

/** Stands in front of any number of download clients, which may change while it runs. */
export interface Agent extends Duty {
  /**
   * These and no others, by their names: what is new is asked and registered, what has
   * changed is asked anew and keeps its identity, what is gone is deregistered.
   * @throws Error of one sentence about the first that cannot be fronted; the others are.
   */
  apply(clients: readonly ClientSettings[]): Promise<void>;
}

interface Member {
  readonly settings: ClientSettings;
  readonly front: Front;
}

export function createAgent(options: AgentOptions): Agent {
  const { as, registerIn, clock, random } = options;
  const members = new Map<string, Member>();
  let applying: Promise<unknown> = Promise.resolve();
  let isStopped = false;

  /** One after the other: the newest wins. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = applying.then(work);
    applying = done.catch(() => {});
    return done;
  }

  const directoryOf = (name: string) =>
    as === "alone" ? options.stateDirectory : clientStateDirectory(options.stateDirectory, name);
  const logOf = (name: string) =>
    as === "alone" ? options.log : withFields(options.log, { client: name });

  async function fronted(settings: ClientSettings) {
    const stateDirectory = directoryOf(settings.name);
    await openClientState(stateDirectory);
    return frontOf(settings, { ...options, stateDirectory, log: logOf(settings.name) });
  }

  async function add(settings: ClientSettings): Promise<void> {
    const { name } = settings;
    const log = logOf(name);
    const client = await fronted(settings);
    if (isStopped) return;
    const register = registerIn(directoryOf(name), log);
    members.set(name, {
      settings,
      front: startFront({ client, register, log, clock, random }),
    });
  }

  async function apply(clients: readonly ClientSettings[]): Promise<void> {
    if (isStopped) return;
    const names = new Set(clients.map(({ name }) => name));
    const gone = [...members].filter(([name]) => !names.has(name));
    for (const [name] of gone) members.delete(name);
    await Promise.all(gone.map(([, { front }]) => front.stop({ deregister: true })));
    // All at once: a change waits for what is under way with that client, which may not answer.
    const results = await Promise.allSettled(clients.map(takeIn));
    sortMembers(clients);
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** As they are listed, whichever was the first to be taken in. */
  function sortMembers(clients: readonly ClientSettings[]): void {
    for (const { name } of clients) {
      const member = members.get(name);
      members.delete(name);
      if (member) members.set(name, member);
    }
  }

  async function takeIn(settings: ClientSettings): Promise<void> {
    const member = members.get(settings.name);
    if (!member) return add(settings);
    if (isSame(settings, member.settings)) return;
    await member.front.change(() => fronted(settings));
    members.set(settings.name, { ...member, settings });
  }

  function named(name: string | undefined): Front {
    const only = members.size === 1 ? [...members.values()][0] : undefined;
    const member = name === undefined ? only : members.get(name);
    if (member) return member.front;
    const names = [...members.keys()].map((each) => JSON.stringify(each)).join(", ");
    throw new RotationRefused(
      name === undefined
        ? `this Haul has several download clients: name one with --client: ${names}`
        : `this Haul has no download client of that name: it has ${names}`,
    );
  }

  return {
    apply: (clients) => inTurn(() => apply(clients)),
    services: () => new Map([...members].map(([name, { front }]) => [name, front.status()])),
    rotate: async (request, signal) => named(request.client).rotate(signal),
    stop() {
      isStopped = true;
      // Before its turn: what is being applied may wait for a client that does not answer.
      const stopped = [...members.values()].map(({ front }) => front.stop());
      return inTurn(async () => {
        await Promise.all(stopped);
      });
    },
  };
}

function isSame(a: ClientSettings, b: ClientSettings): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
