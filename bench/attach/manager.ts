import type { DownloadClient } from "pulse-registry";
import { type Watch, watchDownloadClients } from "pulse-registry";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { type Access, versionByEntry } from "../../test/support/manager-calls.js";
import { monotonicMs } from "../monotonic.js";
import { serveParent } from "../remote.js";

/** A media manager, a process of its own: it watches with the client as it was built, and notes when it is called. */

/** What the manager was told when an entry was online for the first time, and when. */
interface Told {
  readonly entry: DownloadClient;
  readonly atMs: number;
}

const told = new Map<string, Told>();
const awaited = new Map<string, (told: Told) => void>();

const api = {
  /** Resolves when all that there is has been told. */
  watch: (pulse: string, token: string): Promise<void> => {
    const watch = watchDownloadClients({ pulse, token });
    return new Promise((resolve, reject) => {
      read(watch, resolve).catch(reject);
    });
  },

  /** When the manager was told, for the first time, that the entry of this name is online. */
  onlineAtMs: async (name: string, timeoutMs: number): Promise<number> => {
    const { atMs } = await untilOnline(name, timeoutMs);
    return atMs;
  },

  /** When it was logged in at that client, with nothing but the entry, as soon as it was told. */
  loggedInAtMs: async (name: string, timeoutMs: number): Promise<number> => {
    const { entry } = await untilOnline(name, timeoutMs);
    await versionByEntry(entry);
    return monotonicMs();
  },

  /** How long a log-in takes, with the question for the version. */
  logInMs: async (access: Access): Promise<number> => {
    const startedAtMs = monotonicMs();
    await versionByEntry(access);
    return monotonicMs() - startedAtMs;
  },
};

export type ManagerApi = typeof api;

async function untilOnline(name: string, timeoutMs: number): Promise<Told> {
  const known = told.get(name);
  if (known !== undefined) return known;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${name} is not online after ${timeoutMs / 1_000} s`)),
      timeoutMs,
    );
    awaited.set(name, (now) => {
      clearTimeout(timer);
      resolve(now);
    });
  });
}

async function read(watch: Watch<DownloadClient>, onSynced: () => void): Promise<void> {
  for await (const event of watch) {
    const atMs = monotonicMs();
    if (event.type === "synced") onSynced();
    if (event.type !== "put" || event.item.availability !== Availability.ONLINE) continue;
    const { name } = event.item;
    if (told.has(name)) continue;
    const now = { entry: event.item, atMs };
    told.set(name, now);
    awaited.get(name)?.(now);
  }
}

process.on("disconnect", () => process.exit());
serveParent(api);
