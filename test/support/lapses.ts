import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/health/v1/health_pb.js";
import type { PulseConnection } from "../../src/client/index.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import type { Members } from "./members.js";
import type { Stack } from "./stack.js";

/** Asked often, a Pulse and its test have no time left for what is to be seen. */
const ASK_INTERVAL_MS = 200;

/** Why a service that was OFFLINE was. */
export type LapseReason = "expired" | "disconnected" | "goodbye";

/** Waits until Pulse has heard heartbeats of all, and nodes know who has their streams; returns their services' ids. */
export async function areHeard(stack: Stack, members: Members): Promise<readonly string[]> {
  await members.areRegistered();
  const ids = members.names.map((name) => {
    const registered = members.events(name).find(({ serviceId }) => serviceId);
    return registered?.serviceId ?? "";
  });
  for (const id of ids) await stack.hasHeartbeat(id);
  await sleep(500);
  return ids;
}

/**
 * When the services were turned OFFLINE, or were so for this reason alone, by Pulse's
 * wall clock: each for the first time. Those that never were are left out.
 */
export async function lapses(
  { registry }: Pick<PulseConnection, "registry">,
  ids: readonly string[],
  reason?: LapseReason,
): Promise<readonly number[]> {
  const reasons: readonly string[] = reason ? [reason] : ["expired", "disconnected", "goodbye"];
  const timelines = await Promise.all(ids.map((id) => registry.explainService({ id })));
  return timelines
    .flatMap(({ timeline }) => timeline.find((change) => reasons.includes(change.reason)) ?? [])
    .map(({ time }) => (time ? timestampMs(time) : Number.NaN));
}

/** Waits until all of the services were turned OFFLINE, or were so for this reason, and returns when. */
export async function haveLapsed(
  connection: Pick<PulseConnection, "registry">,
  ids: readonly string[],
  { reason, withinMs = 15_000 }: { readonly reason?: LapseReason; readonly withinMs?: number } = {},
): Promise<readonly number[]> {
  const end = performance.now() + withinMs;
  for (;;) {
    const times = await lapses(connection, ids, reason);
    if (times.length === ids.length) return times;
    if (performance.now() > end)
      throw new Error(`${times.length} of ${ids.length} are ${reason ?? "OFFLINE"}`);
    await sleep(ASK_INTERVAL_MS);
  }
}

/** What Pulse says of expiry to those who ask by HTTP, and by grpc.health.v1: `ok, SERVING`. */
export async function expiryHealth(url: string): Promise<string> {
  const { expiry } = (await (await fetch(`${url}/healthz`)).json()) as { expiry: string };
  const transport = createGrpcTransport({ address: url });
  try {
    const { status } = await createClient(Health, transport).check({ service: "pulse.expiry" });
    return `${expiry}, ${HealthCheckResponse_ServingStatus[status]}`;
  } finally {
    transport.close();
  }
}
