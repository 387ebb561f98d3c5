import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { type MemberEvent, type Members, monotonicNow } from "../support/members.js";
import { operate } from "../support/operator.js";
import { hastyClock } from "../support/preload.js";
import { Stack } from "../support/stack.js";

// A token that Pulse refuses, and then one that it takes. For the services the time
// passes ten times as fast, so that their minute is no more than 6 s here; a real minute
// is waited for in a soak, and on a manual clock in test/client/session.test.ts.

const TEST_TIMEOUT = { timeout: 60_000 };
const HASTE = 10;
/** They ask again 50 to 58 s after a refusal. */
const [AGAIN_MS, LATEST_MS] = [50_000 / HASTE, 58_000 / HASTE];
/** What is left of a minute for the call itself, which is as slow here as anywhere. */
const CALL_MS = 2_000;

/** A Pulse, a way to it that counts connections, and a token file that is wrong by one character. */
async function setUp() {
  const stack = await Stack.create();
  await stack.startPulse();
  const proxy = await FaultProxy.open(stack.port);
  const file = join(stack.group.directory, "token");
  const good = await stack.token();
  const bad = good.replace(/.$/, (last) => (last === "A" ? "B" : "A"));
  await writeFile(file, `${bad}\n`);
  const stop = async () => {
    await proxy.close();
    await stack.stop();
  };
  const pulse = `http://127.0.0.1:${proxy.port}`;
  return { stack, proxy, pulse, file, good, bad, stop };
}

/** By `monotonicNow`; the proxy tells it by the test's own clock. */
function acceptedAt(proxy: FaultProxy): readonly number[] {
  const offset = monotonicNow() - performance.now();
  return proxy.acceptedAt.map((at) => at + offset);
}

async function mend(file: string, token: string): Promise<number> {
  const at = monotonicNow();
  await writeFile(file, `${token}\n`);
  return at;
}

/** What a member said of its standing, without the deadlines that a hasty one misses on a busy machine. */
function told(members: Members, name: string): readonly string[] {
  const types = members.events(name).map(({ type }) => type);
  return types.filter((type) => type === "registered" || type === "rejected");
}

/** Nobody connected between the last refusal and the first time that anybody may ask again. */
function areQuiet(proxy: FaultProxy, refused: readonly Pick<MemberEvent, "at">[]): void {
  const refusedAt = refused.map(({ at }) => at);
  const [from, to] = [Math.max(...refusedAt), Math.min(...refusedAt) + AGAIN_MS - 500];
  expect(acceptedAt(proxy).filter((at) => at > from && at < to)).toEqual([]);
}

/** They were quiet after the refusal, and attached within a minute of their own from the mending. */
async function areMended(members: Members, refused: readonly MemberEvent[], mendedAt: number) {
  const attached = await members.each("registered", mendedAt, LATEST_MS + 5_000);
  for (const { member, at } of attached) {
    const refusedAt = refused.find((event) => event.member === member)?.at ?? Number.NaN;
    const [first = 0] = members.attemptsAt(member).filter((attempt) => attempt > refusedAt);
    expect(first - refusedAt).toBeGreaterThan(AGAIN_MS - 100);
    expect(at - mendedAt).toBeLessThan(LATEST_MS + CALL_MS);
  }
  return Math.max(...attached.map(({ at }) => at - mendedAt));
}

describe("a token that is refused", () => {
  it.concurrent(
    "#22 from the start: services say so at once and once, are quiet, and attach after its mending",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const { stack, proxy, file, good, stop } = await setUp();
      onTestFinished(stop);
      const members = await stack.startMembers(
        { count: 3, token: { file }, port: proxy.port },
        hastyClock(HASTE),
      );
      const refused = await members.each("rejected", 0);
      const connectedAt = acceptedAt(proxy);
      // The machine may hold up one of them, but Pulse answers all alike.
      const saidAfterMs = refused
        .map(({ at }) => at)
        .sort((a, b) => a - b)
        .map((at, i) => at - (connectedAt[i] ?? Number.NaN));
      expect(Math.min(...saidAfterMs)).toBeLessThan(1_000);
      for (const { error } of refused) expect(error).toMatch(/unauthenticated/);
      figure(22, "ms from the connection until the refusal is said", Math.max(...saidAfterMs));
      const mendedAt = await mend(file, good);
      const withinMs = await areMended(members, refused, mendedAt);
      figure(
        22,
        "s of a service's own time from the mending until it is attached, at most",
        (withinMs * HASTE) / 1_000,
      );
      for (const name of members.names) {
        await stack.entryIs(name, "ONLINE");
        expect(told(members, name)).toEqual(["rejected", "registered"]);
      }
      areQuiet(proxy, refused);
    },
  );

  it.concurrent(
    "#22 since it was revoked: they come back with the next one, as who they were",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const { stack, proxy, file, stop } = await setUp();
      onTestFinished(stop);
      const create = ["token", "create", "--name", "box", "--scope", "register", "--json"];
      const first = JSON.parse(await operate(stack, ...create)) as { id: string; token: string };
      await mend(file, first.token);
      const members = await stack.startMembers(
        { count: 2, ttlMs: 5_000, token: { file }, port: proxy.port },
        hastyClock(HASTE),
      );
      await members.areRegistered();
      const idOf = async (name: string) => (await stack.entries()).get(name)?.id;
      const before = await Promise.all(members.names.map(idOf));

      const beforeAt = monotonicNow();
      await operate(stack, "token", "revoke", first.id);
      const revokedAt = monotonicNow();
      const refused = await members.each("rejected", beforeAt); // the streams end with the token
      expect(Math.min(...refused.map(({ at }) => at)) - revokedAt).toBeLessThan(1_000);
      const { token } = JSON.parse(await operate(stack, ...create)) as { token: string };
      await areMended(members, refused, await mend(file, token));
      for (const name of members.names) {
        await stack.entryIs(name, "ONLINE");
        expect(told(members, name)).toEqual(["registered", "rejected", "registered"]);
      }
      areQuiet(proxy, refused);
      expect(await Promise.all(members.names.map(idOf))).toEqual(before);
    },
  );

  it.concurrent(
    "#22 is one line in Haul's log, and Haul serves on until it is mended, and after",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const { stack, proxy, pulse, file, good, bad, stop } = await setUp();
      onTestFinished(stop);
      const haul = await stack.startHaul("haul", ["--pulse", pulse, "--token-file", file], {
        PATH: "",
        ...hastyClock(HASTE),
      });
      const isServing = async () => {
        const { url } = await haul.line("haul.listening");
        expect((await fetch(`${url}/health`)).status).toBe(200);
      };
      const { detail } = await haul.line("haul.rejected");
      const refusedAt = monotonicNow();
      expect(detail).toContain("check its token");
      await isServing();
      const mendedAt = await mend(file, good);
      await eventually(async () => {
        await isServing();
        expect(haul.lines.at(-1)?.msg).toBe("haul.registered");
      }, LATEST_MS + CALL_MS);
      expect(monotonicNow() - mendedAt).toBeGreaterThan(AGAIN_MS - 1_000);
      expect(haul.lines.filter(({ msg }) => msg === "haul.rejected")).toHaveLength(1);
      areQuiet(proxy, [{ at: refusedAt }]);
      for (const token of [bad, good]) expect(haul.stdout + haul.stderr).not.toContain(token);
      await stack.entryIs("haul", "ONLINE");
    },
  );
});
