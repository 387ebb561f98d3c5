import { Metadata } from "@grpc/grpc-js";

/** The headers that metadata stands for; binary values as base64 without padding, as gRPC sends them. */
export function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const key of Object.keys(metadata.getMap()))
    for (const value of metadata.get(key))
      headers.append(
        key,
        typeof value === "string" ? value : value.toString("base64").replace(/=+$/, ""),
      );
  return headers;
}

/** Set by grpc-js itself from the status or the deadline of a call. */
const RESERVED: ReadonlySet<string> = new Set(["grpc-status", "grpc-message", "grpc-timeout"]);

/** The metadata that headers stand for. The status and the timeout of a call are not metadata. */
export function toMetadata(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of headers) {
    if (RESERVED.has(key)) continue;
    if (!key.endsWith("-bin")) metadata.set(key, value);
    else for (const part of value.split(",")) metadata.add(key, Buffer.from(part.trim(), "base64"));
  }
  return metadata;
}
