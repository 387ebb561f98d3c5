import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import { ChangeType, SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { failure, type Status } from "./status.js";

type Response = WatchDownloadClientsResponse | WatchServicesResponse;
type Change<R extends Response> = Extract<R["event"], { case: "change" }>["value"];
type Snapshot<R extends Response> = Extract<R["event"], { case: "snapshot" }>["value"];

/** One watch in the hands of a test: nothing is read but what is asked for. */
export class WatchReader<R extends Response> {
  readonly #responses: AsyncIterator<R>;
  readonly #controller: AbortController;
  /** The newest that was not empty. */
  token = "";

  constructor(open: (options: { signal: AbortSignal }) => AsyncIterable<R>) {
    this.#controller = new AbortController();
    this.#responses = open({ signal: this.#controller.signal })[Symbol.asyncIterator]();
  }

  /** The next response, whatever it is. */
  async next(): Promise<R> {
    const { done, value } = await this.#responses.next();
    if (done) throw new Error("the watch has ended without an error");
    if (value.resumeToken !== "") this.token = value.resumeToken;
    return value;
  }

  /** The next response that is a snapshot, which must be whole. */
  async snapshot(): Promise<Snapshot<R> & { readonly why: string }> {
    const { event } = await this.next();
    if (event.case !== "snapshot" || event.value.more)
      throw new Error(`no whole snapshot, but ${event.case}`);
    return { ...(event.value as Snapshot<R>), why: SnapshotReason[event.value.reason] ?? "" };
  }

  /** The next response that is no bookmark, which must be a change. */
  async change(): Promise<Change<R> & { readonly what: string; readonly revision: bigint }> {
    for (;;) {
      const { event, revision } = await this.next();
      if (event.case === "bookmark") continue;
      if (event.case !== "change") throw new Error(`no change, but ${event.case}`);
      const { type, reason } = event.value;
      return { ...(event.value as Change<R>), what: `${ChangeType[type]}: ${reason}`, revision };
    }
  }

  /** The next response, which must be a bookmark. */
  async bookmark(): Promise<R> {
    const response = await this.next();
    if (response.event.case !== "bookmark")
      throw new Error(`no bookmark, but ${response.event.case}`);
    return response;
  }

  /** Reads until the watch fails. */
  failure(): Promise<Status> {
    const readAll = async () => {
      for (;;) await this.next();
    };
    return failure(readAll());
  }

  close(): void {
    this.#controller.abort();
  }
}
