import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { watchDownloadClients } from "../../src/client/index.js";

/** What a manager is told of its download clients from now on. */
export class EntryChanges {
  /** Such as `put member-0 OFFLINE (expired)`, or `stale`. */
  readonly seen: string[] = [];

  private constructor(readonly watch: ReturnType<typeof watchDownloadClients>) {}

  /** Resolves once all is known that there is. */
  static async start(pulse: string, token: string): Promise<EntryChanges> {
    const changes = new EntryChanges(watchDownloadClients({ pulse, token }));
    await new Promise<void>((resolve, reject) => {
      changes.#read(resolve).catch(reject);
    });
    return changes;
  }

  stop(): Promise<void> {
    return this.watch.close();
  }

  async #read(onSynced: () => void): Promise<void> {
    let isSynced = false;
    for await (const event of this.watch) {
      if (event.type === "synced" && !isSynced) {
        isSynced = true;
        onSynced();
      } else if (isSynced) {
        const { type } = event;
        if (type !== "put" && type !== "delete") this.seen.push(type);
        else {
          const { name, availability } = event.item;
          this.seen.push(`${type} ${name} ${Availability[availability]} (${event.reason})`);
        }
      }
    }
  }
}
