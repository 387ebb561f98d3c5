import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, type ExpectStatic, it, type TestContext, vi } from "vitest";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { connectPulse } from "../../src/client/index.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";
import { shortened } from "../support/shown-text.js";
import { Stack } from "../support/stack.js";
import { grpcWatch } from "../support/watch-grpc.js";
import { RecordedWatcher } from "../support/watch-recorder.js";
import { stateDifference } from "../support/watch-recording.js";
import { bookmarkable, ordered, unique } from "../support/watch-validators.js";
import { listedEntries, Watchers } from "../support/watchers.js";

vi.setConfig({ maxConcurrency: 8, testTimeout: 90_000 });

type Finished = TestContext["onTestFinished"];

/** A Pulse, and a proxy in front of it. */
async function start(onTestFinished: Finished, args: readonly string[] = []) {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse({}, args);
  const proxy = await FaultProxy.open(stack.port);
  onTestFinished(() => proxy.close());
  return { stack, pulse, proxy };
}

/** Services that nobody has to keep alive. */
function instancesOf(stack: Stack) {
  const { registry } = stack.connect();
  return {
    register: (name: string, apiUrl = HAUL.service.apiUrl) =>
      registry.register({
        ...HAUL,
        service: { ...HAUL.service, name, apiUrl },
        instanceId: `instance-of-${name}`,
        requestedTtl: LONG_TTL,
      }),
    deregister: (name: string) =>
      registry.deregister({ ...HAUL, instanceId: `instance-of-${name}` }),
  };
}

describe.concurrent("watchers", () => {
  it("#14 of a Pulse whose store is older than what they know start anew, and end in its state", async ({
    expect,
    onTestFinished,
  }) => {
    const { stack, pulse, proxy } = await start(onTestFinished);
    const { register } = instancesOf(stack);
    for (const name of ["kept", "changed", "removed"]) await register(name);
    await pulse.stop();
    const backup = join(stack.group.directory, "backup");
    await cp(stack.dataDirectory, backup, { recursive: true });

    const newer = await stack.startPulse();
    const connected = await Watchers.start(stack);
    const away = await Watchers.start(stack, { port: proxy.port });
    const after = instancesOf(stack);
    await after.register("changed", "http://10.0.0.9:99");
    await after.deregister("removed");
    const lost = await stack.startMembers({ prefix: "lost", count: 2 });
    await lost.areRegistered();
    for (const watchers of [connected, away]) await watchers.showWhatIsListed();

    await proxy.cut();
    lost.program.kill("SIGSTOP");
    newer.kill("SIGKILL");
    await newer.exit;
    await rm(stack.dataDirectory, { recursive: true });
    await cp(backup, stack.dataDirectory, { recursive: true });
    const lostAt = monotonicNow();
    await stack.startPulse();
    await connected.said(/lost its history/, lostAt);
    lost.program.kill("SIGCONT");
    const [back] = await connected.each("synced", lostAt);
    await connected.showWhatIsListed();

    // Its history is longer now than what the other one has seen of the lost one.
    const again = instancesOf(stack);
    for (let n = 0; n < 8; n++) await again.register(`new-${n}`);
    await proxy.restore();
    await away.each("synced", lostAt);
    for (const watchers of [connected, away]) {
      await watchers.showWhatIsListed();
      const events = watchers.events(lostAt);
      expect(events.filter(({ type }) => type === "delete")).toEqual([]);
      expect(events.find(({ name }) => name === "removed")).toMatchObject({ reason: "snapshot" });
    }
    figure(
      14,
      "s from Pulse's return with an older store until a watcher is in step with it",
      ((back?.at ?? Number.NaN) - lostAt) / 1_000,
    );
  });

  it("#15 of a history that is compacted get a snapshot, and do not all ask for it at once", async ({
    expect,
    onTestFinished,
  }) => {
    const history = ["--history-changes", "10"];
    const { stack, pulse, proxy } = await start(onTestFinished, history);
    const { register, deregister } = instancesOf(stack);
    for (let n = 0; n < 10; n++) await register(`old-${n}`);
    const count = 40;
    const watchers = await Watchers.start(stack, { port: proxy.port, count });
    await watchers.showWhatIsListed();
    await proxy.cut();
    for (let n = 0; n < 3; n++) await deregister(`old-${n}`);
    for (let n = 3; n < 6; n++) await register(`old-${n}`, "http://10.0.0.9:99");
    for (let n = 0; n < 20; n++) await register(`new-${n}`);
    await watchers.each("stale");
    await pulse.stop();
    await stack.startPulse({}, history); // which reads no more history than is kept

    const { accepted } = proxy;
    const clockOffsetMs = monotonicNow() - performance.now();
    const restoredAt = monotonicNow();
    await proxy.restore();
    const synced = await watchers.each("synced", restoredAt);
    await watchers.showWhatIsListed();
    const deleted = watchers.events().filter(({ type }) => type === "delete");
    expect(deleted).toHaveLength(3 * count);
    for (const { reason } of deleted) expect(reason).toBe("not in the snapshot");

    const times = synced.map(({ at }) => at - restoredAt).sort((a, b) => a - b);
    const spreadMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
    const fullest = Math.max(
      ...times.map((from) => times.filter((at) => at >= from && at < from + 100).length),
    );
    figure(15, `s over which ${count} watchers spread their lists`, spreadMs / 1_000);
    figure(15, `most of ${count} watchers that list within 0.1 s`, fullest);
    figure(15, `s until the last of ${count} watchers is in step`, (times.at(-1) ?? 0) / 1_000);
    expect(spreadMs).toBeGreaterThan(500);
    // Not only because they connected at different moments: each waits a while once it has.
    const connected = proxy.acceptedAt.slice(accepted).map((at) => at + clockOffsetMs - restoredAt);
    expect(connected).toHaveLength(count);
    const waitedMs = mean(times) - mean(connected);
    figure(15, `s that a watcher waits on average once it has connected`, waitedMs / 1_000);
    expect(waitedMs).toBeGreaterThan(200);
    expect(fullest).toBeLessThanOrEqual(count / 2);
  });

  it("#16 on a slow line miss states in between, and never the newest", async ({
    expect,
    onTestFinished,
  }) => {
    const { stack, proxy } = await start(onTestFinished);
    const raw = await watchThrough(stack, proxy, onTestFinished);
    const watchers = await Watchers.start(stack, { port: proxy.port });
    const { write } = await byHand(stack, onTestFinished);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push(await write(n, 16_000));
    await watchers.showWhatIsListed();
    const startedAt = monotonicNow();
    proxy.throttle(30_000);
    for (let round = 1; round <= 40; round++)
      await Promise.all(ids.map((id, n) => write(n, 16_000, id)));
    const wroteAt = monotonicNow();
    await watchers.showWhatIsListed(30_000);
    await raw.showsWhatIsListed();
    const lateMs = monotonicNow() - wroteAt;

    expect(raw.watcher.streams).toHaveLength(1);
    const events = watchers.events(startedAt);
    expect(events.filter(({ type }) => type !== "put")).toEqual([]);
    expect(events.length).toBeLessThan(120);
    await raw.isFaultless(expect);
    figure(16, "of 200 changes that a watcher at 30 kB/s was sent", events.length);
    figure(16, "s until it shows the newest state, after the last change", lateMs / 1_000);
  });

  it("#16 that take nothing are cut off as lagging, and resume without a gap", async ({
    expect,
    onTestFinished,
  }) => {
    const { stack, pulse, proxy } = await start(onTestFinished);
    const raw = await watchThrough(stack, proxy, onTestFinished);
    const { write } = await byHand(stack, onTestFinished);
    await write(0, 60_000);
    await raw.showsWhatIsListed();
    proxy.pause("to-client");
    let written = 1;
    const isLagging = () => pulse.lines.some(({ msg }) => msg === "watch.lagging");
    for (; !isLagging() && written < 600; written += 20)
      await Promise.all(Array.from({ length: 20 }, (_, n) => write(written + n, 60_000)));
    await proxy.restore();
    await eventually(() => expect(raw.watcher.state.size).toBe(written), 30_000);
    await raw.showsWhatIsListed();

    const [first, second] = raw.watcher.streams;
    expect(first?.end).toMatch(/^status 8: this watcher reads too slowly/);
    expect(raw.watcher.streams).toHaveLength(2);
    const token = first?.responses.findLast((response) => response.token !== "")?.token;
    expect(second?.openedWith).toBe(token);
    expect(second?.responses.map(({ event }) => event.kind)).not.toContain("snapshot");
    await raw.isFaultless(expect);
    figure(16, "MB waiting when a watcher that takes nothing is cut off", (written * 60_000) / 1e6);
  });
});

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** An operator who writes entries of a size. */
async function byHand(stack: Stack, onTestFinished: Finished) {
  const connection = connectPulse({ pulse: stack.url, token: await stack.token("admin") });
  onTestFinished(async () => connection.close());
  let writes = 0;
  /** Makes an entry, or changes the one with that id, and returns its id. */
  async function write(n: number, size: number, id?: string): Promise<string> {
    const settings = { text: `${writes++}`.padEnd(size, ".") };
    if (id !== undefined) {
      await connection.downloadClients.updateDownloadClient({
        downloadClient: { id, settings },
        updateMask: { paths: ["settings"] },
      });
      return id;
    }
    const { downloadClient } = await connection.downloadClients.createDownloadClient({
      downloadClient: { name: `by hand ${n}`, kind: "aria2", host: "nas", port: 6800, settings },
    });
    return downloadClient?.id ?? "";
  }
  return { write };
}

/** A watcher through the proxy, of which everything is recorded. It sends no PINGs. */
async function watchThrough(stack: Stack, proxy: FaultProxy, onTestFinished: Finished) {
  const { downloadClients } = stack.connect();
  const url = `http://127.0.0.1:${proxy.port}`;
  const bearer = await stack.token();
  const watcher = new RecordedWatcher({
    name: "raw",
    truth: { stateAt: () => undefined, between: () => undefined },
    open: (resumeToken, signal) =>
      grpcWatch(
        DownloadClientService.method.watchDownloadClients,
        { resumeToken },
        { url, bearer, windowBytes: 65_535, signal },
      ),
  });
  onTestFinished(() => watcher.stop());
  return {
    watcher,
    showsWhatIsListed: () =>
      eventually(async () => {
        const shown = [...watcher.state].map(([id, text]) => [id, shortened(text)] as const);
        const difference = stateDifference(new Map(shown), await listedEntries(downloadClients));
        if (difference) throw new Error(difference.slice(0, 500));
      }, 30_000),
    async isFaultless(expect: ExpectStatic) {
      await watcher.stop();
      for (const validate of [ordered, unique, bookmarkable]) expect(validate(watcher)).toEqual([]);
    },
  };
}
