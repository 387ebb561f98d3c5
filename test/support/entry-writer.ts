import { connectPulse } from "../../src/client/index.js";
import type { Stack } from "./stack.js";
import { type Status, statusOf } from "./status.js";

/** Makes one entry after the other by hand, until Pulse takes no more or there are enough. */
export class EntryWriter {
  /** The entries that were acknowledged, in their order. */
  readonly names: string[] = [];
  /** Of the newest of them. */
  revision = 0n;
  /** Resolves when it has ended, with what it was refused with if there are not enough. */
  readonly refusal: Promise<Status | undefined>;

  constructor(stack: Stack, prefix: string, enough = Number.POSITIVE_INFINITY) {
    this.refusal = this.#write(stack, prefix, enough);
  }

  async #write(stack: Stack, prefix: string, enough: number): Promise<Status | undefined> {
    const token = await stack.token("admin");
    const connection = connectPulse({ pulse: stack.url, token, retry: "never" });
    try {
      while (this.names.length < enough) {
        const name = `${prefix}-${this.names.length}`;
        const { revision } = await connection.downloadClients.createDownloadClient({
          downloadClient: { name, kind: "sabnzbd", host: "192.168.1.20", port: 8080 },
        });
        this.names.push(name);
        this.revision = revision;
      }
      return undefined;
    } catch (error) {
      return statusOf(error);
    } finally {
      connection.close();
    }
  }
}
