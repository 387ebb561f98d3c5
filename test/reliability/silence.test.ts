import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { SilentServer } from "../support/silent-server.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";

const TTL_MS = 5_000;
const INTERVAL_MS = TTL_MS / 3;
/** An answer is missed after an interval and a timeout. */
const ACK_TIMEOUT_MS = 1.5 * INTERVAL_MS;
const ATTEMPT_MS = 10_000;
/** What a busy machine adds. */
const SLACK_MS = 1_000;

describe.concurrent("silence", () => {
  describeStacks("a service behind a blackhole", (create) => {
    it("#4 knows within interval and timeout, and so does Pulse; it is back when the network is", async ({
      expect,
      onTestFinished,
    }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      await stack.startPulse();
      const proxy = await FaultProxy.open(stack.port);
      onTestFinished(() => proxy.close());
      const members = await stack.startMembers({ port: proxy.port, ttlMs: TTL_MS });
      await members.areRegistered();
      const serviceId = members.events()[0]?.serviceId ?? "";
      await stack.hasHeartbeat(serviceId);

      await proxy.blackhole();
      const silentAt = monotonicNow();
      await stack.entryIs("member-0", "OFFLINE");
      const offlineAfterMs = monotonicNow() - silentAt;
      const [noticed] = await members.each("disconnected", silentAt);
      const noticedAfterMs = (noticed?.at ?? Number.POSITIVE_INFINITY) - silentAt;
      figure(4, "ms from a blackhole until a service with a TTL of 5 s knows", noticedAfterMs);
      figure(4, "ms from a blackhole until its entry is OFFLINE", offlineAfterMs);
      expect(noticedAfterMs).toBeLessThan(INTERVAL_MS + ACK_TIMEOUT_MS + SLACK_MS);
      expect(offlineAfterMs).toBeLessThan(INTERVAL_MS + TTL_MS + SLACK_MS);

      proxy.forget();
      await proxy.restore();
      const backAt = monotonicNow();
      const [returned] = await members.each("reconnected", silentAt, 20_000);
      const returnedAfterMs = (returned?.at ?? Number.POSITIVE_INFINITY) - backAt;
      figure(4, "ms until a service is attached once the network is back", returnedAfterMs);
      await stack.entryIs("member-0", "ONLINE");
      const reasons = new Set(await stack.reasons(serviceId));
      expect([...reasons]).toEqual(["registered", "expired", "re-registered"]);
    }, 60_000);
  });

  it("#5 whose only address is silent tries again, and attaches once Pulse is there", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const first = await stack.startPulse();
    const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
    await first.stop();
    const silent = await SilentServer.start(stack.port);
    onTestFinished(() => silent.close());
    const members = await stack.startMembers({ token });
    const startedAt = (await members.program.line("members.started")).at as number;
    const [failed] = await members.each("attempt-failed", startedAt);
    const abandonedAfterMs = (failed?.at ?? Number.POSITIVE_INFINITY) - startedAt;
    figure(5, "ms until an attempt at the only address, silent, is abandoned", abandonedAfterMs);
    expect(abandonedAfterMs).toBeLessThan(ATTEMPT_MS + SLACK_MS);
    await eventually(() => expect(silent.accepted).toBeGreaterThan(1));

    await silent.close();
    await stack.startPulse();
    const listeningAt = monotonicNow();
    const [attached] = await members.each("registered", startedAt);
    figure(
      5,
      "ms from when Pulse takes over a silent address until a service is attached",
      (attached?.at ?? 0) - listeningAt,
    );
    await stack.entryIs("member-0", "ONLINE");
  }, 60_000);

  it("#5 one of whose addresses speaks HTTP/2 but never answers is at the next within 10 s", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    await stack.startPulse();
    let calls = 0;
    const mute = createServer()
      .on("stream", () => calls++)
      .listen(0, "127.0.0.1");
    onTestFinished(() => void mute.close());
    await once(mute, "listening");
    const { port } = mute.address() as AddressInfo;
    const pulse = `http://127.0.0.1:${port},${stack.url}`;
    // They begin at a random address.
    const members = await stack.startMembers({ pulse, count: 10 });
    const startedAt = (await members.program.line("members.started")).at as number;
    const attached = await members.each("registered", startedAt, 30_000);
    const longestMs = Math.max(...attached.map(({ at }) => at - startedAt));
    figure(5, "ms until services are attached, one of whose two addresses is mute", longestMs);
    expect(calls).toBeGreaterThan(0);
    // Until the attempt is abandoned, and the jitter before the next.
    expect(longestMs).toBeLessThan(ATTEMPT_MS + 500 + SLACK_MS);
  }, 60_000);

  it("#5 one of whose addresses is silent goes to the next", async ({ expect, onTestFinished }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    await stack.startPulse();
    const silent = await SilentServer.start();
    onTestFinished(() => silent.close());
    const pulse = `http://127.0.0.1:${silent.port},${stack.url}`;
    const members = await stack.startMembers({ pulse, count: 10 });
    const startedAt = (await members.program.line("members.started")).at as number;
    const attached = await members.each("registered", startedAt);
    const longestMs = Math.max(...attached.map(({ at }) => at - startedAt));
    figure(5, "ms until services are attached, one of whose two addresses is silent", longestMs);
    expect(silent.accepted).toBeGreaterThan(0);
    expect(longestMs).toBeLessThan(ATTEMPT_MS);
  }, 60_000);

  it("#5 a command that asks a silent server ends within 10 s, and says why", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const first = await stack.startPulse();
    await first.stop();
    const silent = await SilentServer.start(stack.port);
    onTestFinished(() => silent.close());
    const run = stack.group.run("pulse", [
      "clients",
      "list",
      ...["--pulse", stack.url, "--data", stack.dataDirectory],
    ]);
    await eventually(() => expect(silent.accepted).toBe(1));
    const askedAt = monotonicNow();
    const { code, stderr } = await run;
    const endedAfterMs = monotonicNow() - askedAt;
    figure(5, "ms until `pulse clients list` gives up on a silent server", endedAfterMs);
    expect(code).toBe(1);
    expect(stderr).toContain(`pulse: Pulse at ${stack.url} does not answer`);
    expect(endedAfterMs).toBeLessThan(ATTEMPT_MS + SLACK_MS);
  }, 60_000);
});
