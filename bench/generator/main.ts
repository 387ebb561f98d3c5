import { serveParent } from "../remote.js";
import { sleep } from "../waiting.js";
import type { Target } from "./connection.js";
import { Fleet } from "./fleet.js";
import { HeartbeatLoad } from "./heartbeat-load.js";
import type { Load } from "./load.js";
import { leaseIdFrom, listRequest, problemOfList, registerRequest } from "./messages.js";
import { LIST, REGISTER } from "./paths.js";
import { openRegistrant, openRepeater } from "./publishers.js";
import { registerInTurn } from "./registers.js";
import { type Shape, UnaryLoad } from "./unary-load.js";
import { type ChangeTimes, Watchers } from "./watchers.js";

/** The load generator, a process of its own. What it holds is named by the numbers it gives. */

const loads = new Map<number, Load>();
const fleets = new Map<number, Fleet>();
const audiences = new Map<number, Watchers>();
let lastId = 0;

async function add(load: Load): Promise<number> {
  loads.set(++lastId, load);
  const id = lastId;
  await load.ready;
  return id;
}

function loadOf(id: number): Load {
  const load = loads.get(id);
  if (!load) throw new Error(`there is no load ${id}`);
  return load;
}

function watchersOf(id: number): Watchers {
  const watchers = audiences.get(id);
  if (!watchers) throw new Error(`there are no watchers ${id}`);
  return watchers;
}

function fleetOf(id: number): Fleet {
  const fleet = fleets.get(id);
  if (!fleet) throw new Error(`there is no fleet ${id}`);
  return fleet;
}

const api = {
  /** Registers `services` different services in turn, from number `first` on, again and again. */
  openRegisters: (target: Target, shape: Shape, services: number, first = 0) => {
    const requests = Array.from({ length: services }, (_, index) => registerRequest(first + index));
    const problemOf = (answer: Buffer, index: number) => {
      leaseIdFrom(answer, first + index);
      return undefined;
    };
    return add(new UnaryLoad(target, { path: REGISTER, requests, problemOf }, shape));
  },
  openLists: (target: Target, shape: Shape, entries: number) => {
    const problemOf = (answer: Buffer) => problemOfList(answer, entries);
    const requests = [listRequest(entries)];
    return add(new UnaryLoad(target, { path: LIST, requests, problemOf }, shape));
  },
  openHeartbeats: (target: Target, shape: Shape) => add(new HeartbeatLoad(target, shape)),
  start: (load: number) => loadOf(load).start(),
  stop: (load: number) => loadOf(load).stop(),
  counters: (load: number) => loadOf(load).counters(),
  takeTimes: (load: number) => loadOf(load).takeTimes(),
  close: (load: number) => {
    loadOf(load).close();
    loads.delete(load);
  },

  /** See Fleet.storm. The fleet stays until it is closed. */
  storm: async (target: Target, services: number, timeoutMs: number) => {
    const fleet = new Fleet(target);
    fleets.set(++lastId, fleet);
    return { fleet: lastId, outcome: await fleet.storm(services, timeoutMs) };
  },
  beatAll: (fleet: number, overMs: number) => fleetOf(fleet).beatAll(overMs),
  closeFleet: (fleet: number) => {
    fleetOf(fleet).close();
    fleets.delete(fleet);
  },

  /**
   * Opens so many watches. `of`: the entries of Pulse, or the watchers of Pulse, who have
   * seen a change; what they were told, a reference tells its own.
   */
  openWatchers: async (
    target: Target,
    count: number,
    of: { readonly entries: number } | { readonly model: number },
  ) => {
    const publisher =
      "model" in of
        ? await openRepeater(target, watchersOf(of.model))
        : await openRegistrant(target, of.entries);
    const watchers = new Watchers(target, count, publisher);
    audiences.set(++lastId, watchers);
    const id = lastId;
    await watchers.ready;
    return id;
  },
  /** Makes so many changes, each when everybody had the one before, and after a pause. */
  change: async (watchers: number, changes: number, pauseMs: number) => {
    const times: ChangeTimes[] = [];
    for (let i = 0; i < changes; i++) {
      times.push(await watchersOf(watchers).change());
      await sleep(pauseMs);
    }
    return times;
  },
  watchersCounters: (watchers: number) => watchersOf(watchers).counters(),
  closeWatchers: (watchers: number) => {
    watchersOf(watchers).close();
    audiences.delete(watchers);
  },

  registerInTurn,
};

export type GeneratorApi = typeof api;

process.on("disconnect", () => process.exit());
serveParent(api);
