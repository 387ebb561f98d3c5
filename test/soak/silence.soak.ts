import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { watchDownloadClients } from "../../src/client/index.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { MEMORY_PROBE, memoryOf } from "../support/preload.js";
import { Stack } from "../support/stack.js";
import { grpcWatch } from "../support/watch-grpc.js";

/** Two intervals of bookmarks, and one second for the way. */
const WATCH_PATIENCE_MS = 11_000;
/** Silence until a PING, the time to answer it, and the looks between which Pulse finds out. */
const PING_WITHIN_MS = 15_000 + 10_000 + 2 * 2_500;
/** What a busy machine adds. */
const SLACK_MS = 1_000;

it("#4 Pulse closes the connections of peers that are gone without a reset, and a watch says that it is stale", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse(MEMORY_PROBE);
  const proxy = await FaultProxy.open(stack.port);
  onTestFinished(() => proxy.close());
  const sockets = async () => (await memoryOf(pulse)).handles.TCPSocketWrap ?? 0;
  const before = await sockets();
  const members = await stack.startMembers({ port: proxy.port });
  await members.areRegistered();
  const url = `http://127.0.0.1:${proxy.port}`;
  const token = await stack.token();
  const watch = watchDownloadClients({ pulse: url, token });
  onTestFinished(() => watch.close());
  await eventually(() => expect(watch.current().state).toBe("live"));
  const raw = grpcWatch(
    DownloadClientService.method.watchDownloadClients,
    {},
    { url, bearer: token, windowBytes: 65_535, signal: new AbortController().signal },
  );
  onTestFinished(async () => void (await raw.return(undefined)));
  await raw.next();
  expect(await sockets()).toBe(before + 3);

  await proxy.blackhole();
  const silentAt = monotonicNow();
  await eventually(() => expect(watch.current().state).toBe("stale"), 20_000);
  const staleAfterMs = monotonicNow() - silentAt;
  figure(4, "ms from a blackhole until a watch says that it is stale", staleAfterMs);
  expect(staleAfterMs).toBeLessThan(WATCH_PATIENCE_MS + SLACK_MS);
  await eventually(async () => {
    await sleep(300);
    expect(await sockets()).toBe(before);
  }, 60_000);
  const closedAfterMs = monotonicNow() - silentAt;
  figure(4, "ms from a blackhole until Pulse has closed its HTTP/2 connections", closedAfterMs);
  expect(closedAfterMs).toBeLessThan(PING_WITHIN_MS + SLACK_MS);
}, 90_000);
