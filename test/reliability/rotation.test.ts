import { describe, expect, it, onTestFinished } from "vitest";
import { startQBittorrent } from "../support/download-clients/real-clients.js";
import { figure } from "../support/figures.js";
import { LogIns, median, outcomeOf } from "../support/log-ins.js";
import { type Members, monotonicNow } from "../support/members.js";
import { isMissing } from "../support/missing.js";
import { RotatingService, type Rotation } from "../support/rotating-service.js";
import { Stack } from "../support/stack.js";

const ROTATIONS = 10;
const CHANGES_PER_SECOND = 120;
const CLIENT = "box";

/** When a password changed at the client, and when the consumer's watch told of it. */
type Told = Rotation & { readonly toldAt: number };

/** Members that change all the time, until the test ends. */
function churn(members: Members): void {
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    const member = members.names[n % members.names.length] ?? "";
    members.command({ do: "update", member, change: { credentials: { apiKey: `key ${n}` } } });
  }, 1_000 / CHANGES_PER_SECOND);
  onTestFinished(() => clearInterval(timer));
}

describe.skipIf(isMissing("qbittorrent-nox"))("a real qBittorrent", { timeout: 120_000 }, () => {
  it("#21 whose password changes under load: no log-in fails once its manager has been told", async () => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const user = { username: "me", password: "the first password" };
    const [client] = await Promise.all([startQBittorrent(user), stack.startPulse()]);
    const service = await RotatingService.start(stack.group, {
      ...{ pulse: stack.url, token: await stack.token(), name: CLIENT, url: client.url },
      ...user,
    });
    const members = await stack.startMembers({ prefix: "other", count: 40 });
    await members.areRegistered();
    churn(members);
    const consumer = new LogIns(stack, CLIENT);
    onTestFinished(() => consumer.stop());
    await consumer.more(2);

    const revision = async () => (await stack.connect().registry.listServices({})).revision;
    const [beganAt, before] = [monotonicNow(), await revision()];
    const rotations: Told[] = [];
    for (let n = 0; n < ROTATIONS; n++) {
      const password = `password ${n} of the consumer & his client`;
      const rotation = await service.rotate(password);
      rotations.push({ ...rotation, toldAt: await consumer.told(password) });
      await consumer.more(2);
    }
    const seconds = (monotonicNow() - beganAt) / 1_000;
    const changesPerSecond = Number((await revision()) - before) / seconds;
    expect(changesPerSecond).toBeGreaterThan(25); // more than 50, were the machine ours alone

    const { logIns } = consumer;
    const outcomes = rotations.map((rotation, n) => {
      const nextAt = rotations[n + 1]?.askedAt ?? Number.POSITIVE_INFINITY;
      const its = logIns.filter(({ endedAt }) => endedAt > rotation.askedAt && endedAt <= nextAt);
      return outcomeOf(rotation, its);
    });
    for (const [n, { bad, delayMs, failingMs, turnMs }] of outcomes.entries()) {
      const toldAt = rotations[n]?.toldAt ?? 0;
      expect(bad.filter(({ beganAt }) => beganAt > toldAt)).toEqual([]);
      expect(failingMs).toBeLessThanOrEqual(delayMs + turnMs);
    }

    const failing = outcomes.map(({ failingMs }) => failingMs);
    figure(21, "ms that log-ins fail after a rotation, median", median(failing));
    figure(21, "ms that log-ins fail after a rotation, at most", Math.max(...failing));
    const delays = outcomes.map(({ delayMs }) => delayMs);
    figure(21, "ms from the client's change to the watcher's news, median", median(delays));
    figure(21, "ms from the client's change to the watcher's news, at most", Math.max(...delays));
    const passing = rotations.map(({ changedAt, toldAt }) => toldAt - changedAt);
    figure(21, "ms of that through Pulse, median", median(passing));
    figure(21, "ms of that through Pulse, at most", Math.max(...passing));
    const failed = logIns.filter(({ end }) => end !== "good").length;
    const lengths = logIns.map(({ beganAt, endedAt }) => endedAt - beganAt);
    figure(21, "ms that one log-in takes, median", median(lengths));
    figure(21, "log-ins that failed", `${failed} of ${logIns.length}`);
    figure(21, "changes a second meanwhile", changesPerSecond);
  });
});
