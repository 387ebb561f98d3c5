import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ListDownloadClientsRequestSchema,
  ListDownloadClientsResponseSchema,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  HeartbeatResponseSchema,
  RegisterRequestSchema,
  RegisterResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";

/** The longest that Pulse grants: nobody expires while others are measured. */
const TTL_SECONDS = 300n;

/** The Register of service number `index` of a fleet: a download client with credentials. */
export function registerRequest(index: number, version = "4.5.2"): Uint8Array {
  return toBinary(
    RegisterRequestSchema,
    create(RegisterRequestSchema, {
      service: {
        name: nameOf(index),
        type: "download-client",
        kind: "qbittorrent",
        apiUrl: `http://10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}:8080/qbt`,
        version,
        capabilities: ["categories", "tags"],
        metadata: { zone: "attic" },
      },
      instanceId: instanceIdOf(index),
      instanceSecret: `secret-of-${instanceIdOf(index)}`,
      serviceUsername: "admin",
      serviceApiKey: `key-${index}-0123456789abcdef`,
      requestedTtl: { seconds: TTL_SECONDS },
    }),
  );
}

/** Its name, and that of its entry if nobody else had it. */
export function nameOf(index: number): string {
  return `haul-${index}`;
}

function instanceIdOf(index: number): string {
  return `7f9c2b1e-4e1b-4a2c-8000-${String(index).padStart(12, "0")}`;
}

/** @throws Error if it is not the registration of service number `index`. */
export function leaseIdFrom(response: Uint8Array, index: number): string {
  const { service, lease } = fromBinary(RegisterResponseSchema, response);
  if (service?.instanceId !== instanceIdOf(index))
    throw new Error("Register answered for another instance");
  if (!lease?.id) throw new Error("Register gave no lease");
  return lease.id;
}

export function listRequest(entries: number): Uint8Array {
  return toBinary(
    ListDownloadClientsRequestSchema,
    create(ListDownloadClientsRequestSchema, { pageSize: entries }),
  );
}

/** @returns the problem with a list that should hold so many entries with credentials, if any */
export function problemOfList(response: Uint8Array, entries: number): string | undefined {
  const { downloadClients } = fromBinary(ListDownloadClientsResponseSchema, response);
  if (downloadClients.length !== entries)
    return `a list of ${downloadClients.length} instead of ${entries}`;
  return downloadClients.every(({ password }) => password !== "") ? undefined : "no credentials";
}

const TAG_BOOKMARK = 0x1a;

/** Whether a message of a watch is a bookmark; the event comes first in it. */
export function isBookmark(message: Uint8Array): boolean {
  return message[0] === TAG_BOOKMARK;
}

/** @returns the problem with a message that should be the whole snapshot, if any */
export function problemOfSnapshot(message: Uint8Array, entries: number): string | undefined {
  const { event } = fromBinary(WatchDownloadClientsResponseSchema, message);
  if (event.case !== "snapshot" || event.value.more) return "a watch without a whole snapshot";
  const { downloadClients } = event.value;
  if (downloadClients.length !== entries)
    return `a snapshot of ${downloadClients.length} instead of ${entries}`;
  return downloadClients.every(({ password }) => password !== "") ? undefined : "no credentials";
}

/** @returns the problem with a message that should tell of this version, if any */
export function problemOfChange(message: Uint8Array, version: string): string | undefined {
  const { event } = fromBinary(WatchDownloadClientsResponseSchema, message);
  if (event.case !== "change" || event.value.type !== ChangeType.PUT) return "no PUT";
  const { downloadClient } = event.value;
  if (downloadClient?.version !== version) return "another change than the one that was made";
  return downloadClient.password !== "" ? undefined : "no credentials";
}

const TAG_RENEWED = 0x0a;
const TAG_LEASE_ID = 0x0a;
const TAG_SEQUENCE = 0x10;

/** Writes heartbeats of one lease by hand: this is the generator's hottest path. */
export class HeartbeatWriter {
  readonly #lease: Buffer;
  sequence = 0;

  constructor(readonly leaseId: string) {
    const id = Buffer.from(leaseId);
    if (id.length > 127) throw new RangeError("a lease id longer than one byte of length can say");
    this.#lease = Buffer.concat([Buffer.from([TAG_LEASE_ID, id.length]), id]);
  }

  next(): Buffer {
    let rest = ++this.sequence;
    const message = Buffer.allocUnsafe(this.#lease.length + 6);
    message.set(this.#lease);
    let at = this.#lease.length;
    message[at++] = TAG_SEQUENCE;
    for (; rest >= 0x80; rest >>>= 7) message[at++] = (rest & 0x7f) | 0x80;
    message[at++] = rest;
    return message.subarray(0, at);
  }
}

/** One look at every answer; every 256th is decoded in full. */
export function problemOfHeartbeat(answer: Buffer, sent: HeartbeatWriter): string | undefined {
  if (answer[0] !== TAG_RENEWED || sent.sequence % 256 === 1) {
    const { event } = fromBinary(HeartbeatResponseSchema, answer);
    if (event.case === "leaseLost") return `lease lost: ${event.value.reason}`;
    if (event.case !== "renewed") return `answered with ${event.case}`;
    if (event.value.leaseId !== sent.leaseId) return "renewed another lease";
    if (event.value.sequence !== BigInt(sent.sequence)) return "answered another heartbeat";
  }
  return undefined;
}
