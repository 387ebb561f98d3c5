import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { type DownloadClient, type Watch, watchDownloadClients } from "../../src/client/index.js";
import { startQBittorrent, versionByEntry } from "../support/download-clients.js";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { type Members, monotonicNow } from "../support/members.js";
import { isMissing } from "../support/missing.js";
import { RotatingService, type Rotation } from "../support/rotating-service.js";
import { freePort, Stack } from "../support/stack.js";

const ROTATIONS = 10;
const CHANGES_PER_SECOND = 120;
const CLIENT = "box";

/** One log-in of a consumer, with what its watch said when it began. */
interface LogIn {
  readonly beganAt: number;
  readonly endedAt: number;
  readonly isGood: boolean;
}

/** Logs in with what `current()` says, again and again, and not from one session to the next. */
class Consumer {
  readonly logIns: LogIn[] = [];
  readonly #watch: Watch<DownloadClient>;
  readonly #toldAt = new Map<string, number>();
  readonly #working: Promise<unknown>;

  constructor(stack: Stack) {
    this.#watch = watchDownloadClients({ pulse: stack.url, token: () => stack.token() });
    this.#working = Promise.all([this.#listen(), this.#logInForEver()]);
  }

  /** When the watch told of that password; waits until it has. */
  told(password: string): Promise<number> {
    return eventually(() => {
      const at = this.#toldAt.get(password);
      if (at === undefined) throw new Error("the watch has not told of the password");
      return at;
    });
  }

  /** Resolves when that many more log-ins have ended well. */
  async more(count: number): Promise<void> {
    const good = () => this.logIns.filter(({ isGood }) => isGood).length;
    const enough = good() + count;
    await eventually(() => expect(good()).toBeGreaterThanOrEqual(enough));
  }

  async stop(): Promise<void> {
    await this.#watch.close();
    await this.#working;
  }

  async #listen(): Promise<void> {
    for await (const event of this.#watch)
      if (event.type === "put" && event.item.name === CLIENT)
        this.#toldAt.set(event.item.password, monotonicNow());
  }

  async #logInForEver(): Promise<void> {
    for (;;) {
      const view = this.#watch.current();
      if (view.state === "closed") return;
      const entry = view.items.find(({ name }) => name === CLIENT);
      if (entry) await this.#logIn(entry);
      await sleep(50);
    }
  }

  async #logIn(entry: DownloadClient): Promise<void> {
    const beganAt = monotonicNow();
    const isGood = await versionByEntry(entry).then(
      () => true,
      () => false,
    );
    this.logIns.push({ beganAt, endedAt: monotonicNow(), isGood });
  }
}

/** When a password changed at the client, and when the consumer's watch told of it. */
type Told = Rotation & { readonly toldAt: number };

/** What a rotation did to the log-ins that ended between it and the next one. */
function outcomeOf({ askedAt, toldAt }: Told, logIns: readonly LogIn[]) {
  const delayMs = toldAt - askedAt;
  const bad = logIns.filter(({ isGood }) => !isGood);
  const [first, last] = [bad[0], bad.at(-1)];
  const again = logIns.find(({ isGood, beganAt }) => isGood && beganAt > (last?.beganAt ?? 0));
  if (!first || !last || !again) return { bad, delayMs, failingMs: 0, turnMs: 0 };
  return {
    bad,
    delayMs,
    failingMs: again.beganAt - Math.max(first.beganAt, askedAt),
    /** One log-in and the pause after it. */
    turnMs: again.beganAt - last.beganAt,
  };
}

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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

describe.skipIf(isMissing("qbittorrent-nox"))("a real qBittorrent", { timeout: 120_000 }, () => {
  it("#21 whose password changes under load: no log-in fails once its manager has been told", async () => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const user = { username: "me", password: "the first password" };
    const [client] = await Promise.all([
      startQBittorrent(stack.group.directory, await freePort(), user),
      stack.startPulse(),
    ]);
    onTestFinished(() => client.kill());
    const service = await RotatingService.start(stack.group, {
      ...{ pulse: stack.url, token: await stack.token(), name: CLIENT, url: client.url },
      ...user,
    });
    const members = await stack.startMembers({ prefix: "other", count: 40 });
    await members.areRegistered();
    churn(members);
    const consumer = new Consumer(stack);
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
    const failed = logIns.filter(({ isGood }) => !isGood).length;
    const lengths = logIns.map(({ beganAt, endedAt }) => endedAt - beganAt);
    figure(21, "ms that one log-in takes, median", median(lengths));
    figure(21, "log-ins that failed", `${failed} of ${logIns.length}`);
    figure(21, "changes a second meanwhile", changesPerSecond);
  });
});
