import type { DownloadClient } from "pulse-registry";
import { type Watch, watchDownloadClients } from "pulse-registry";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { monotonicMs } from "../monotonic.js";
import { serveParent } from "../remote.js";

/** A media manager, a process of its own: it watches with the client as it was built, and notes when it is called. */

const onlineAtMs = new Map<string, number>();
const awaited = new Map<string, (atMs: number) => void>();

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
    const known = onlineAtMs.get(name);
    if (known !== undefined) return known;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${name} is not online after ${timeoutMs / 1_000} s`)),
        timeoutMs,
      );
      awaited.set(name, (atMs) => {
        clearTimeout(timer);
        resolve(atMs);
      });
    });
  },
};

export type ManagerApi = typeof api;

async function read(watch: Watch<DownloadClient>, onSynced: () => void): Promise<void> {
  for await (const event of watch) {
    const atMs = monotonicMs();
    if (event.type === "synced") onSynced();
    if (event.type !== "put" || event.item.availability !== Availability.ONLINE) continue;
    const { name } = event.item;
    if (onlineAtMs.has(name)) continue;
    onlineAtMs.set(name, atMs);
    awaited.get(name)?.(atMs);
  }
}

process.on("disconnect", () => process.exit());
serveParent(api);
