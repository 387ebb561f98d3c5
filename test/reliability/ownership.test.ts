import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { operate } from "../support/operator.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";
import { described, seenAs, update, watchVersions } from "../support/versions.js";

// What a service says of itself, and what an operator has set beside it.

const TEST_TIMEOUT = { timeout: 120_000 };

/** The generation of the instance: how often it has registered. */
async function generationOf(stack: Stack, instanceId: string): Promise<bigint | undefined> {
  const { services } = await stack.connect().registry.listServices({});
  return services.find((service) => service.instanceId === instanceId)?.generation;
}

// Most of it is waiting, so all at once.
describe.concurrent("ownership", () => {
  describeStacks("a registration", (create) => {
    it(
      "#17 leaves an operator's edits alone, however it comes about again",
      TEST_TIMEOUT,
      async ({ onTestFinished }) => {
        const stack = await create();
        onTestFinished(() => stack.stop());
        const pulse = await stack.startPulse();
        const boxes = { prefix: "box", count: 2, ttlMs: 5_000 };
        const first = await stack.startMembers({ ...boxes, ...described(1) });
        await first.areRegistered();
        const before = await stack.entries();
        const idOf = (name: string) => before.get(name)?.id;

        const access = ["--url", "https://192.0.2.7:444/over", "--username", "operator"];
        const own = ["--disable", "--priority", "7", "--category", "tv", "--directory", "/tv"];
        const more = ["--tag", "a", "--tag", "b", "--settings", '{"seedRatio": 2}'];
        await operate(
          stack,
          ...["clients", "edit", "box-0", "--new-name", "nas", ...own, ...more, ...access],
        );
        await operate(stack, "clients", "edit", "box-1", "--priority", "3", "--tag", "kept");
        await operate(stack, "clients", "remove", "box-1");
        const overridden = {
          host: "192.0.2.7",
          port: 444,
          useSsl: true,
          urlBase: "/over",
          username: "operator",
        };
        const edited = {
          name: "nas",
          enabled: false,
          priority: 7,
          category: "tv",
          directory: "/tv",
          tags: ["a", "b"],
          settings: { seedRatio: 2 },
          overrides: overridden,
          ...overridden,
        };

        /** The edits are there, with what the service says now, and what was removed is not. */
        async function areKept(version: number): Promise<void> {
          const { password } = seenAs(version);
          const { downloadClients } = stack.connect();
          const all = (await downloadClients.listDownloadClients({ showDeleted: true }))
            .downloadClients;
          const known = { version: `${version}`, password };
          expect(all).toMatchObject([
            { id: idOf("box-1"), name: "box-1", priority: 3, hidden: true, ...known },
            { id: idOf("box-0"), ...edited, hidden: false, ...known },
          ]);
          expect([...(await stack.entries()).keys()]).toEqual(["nas"]);
        }
        await areKept(1);

        // An update.
        let sinceAt = monotonicNow();
        for (const name of first.names) update(first, name, 2);
        await first.each("updated", sinceAt);
        await areKept(2);

        // A new process of the same instance.
        await first.kill();
        const members = await stack.startMembers({ ...boxes, ...described(3) });
        await members.areRegistered();
        await areKept(3);

        // A restart of Pulse, and an update meanwhile.
        pulse.kill("SIGKILL");
        await pulse.exit;
        sinceAt = monotonicNow();
        for (const name of members.names) update(members, name, 4);
        await stack.startPulse();
        await members.each("reconnected", sinceAt);
        await areKept(4);

        // The registration is removed, and comes back.
        sinceAt = monotonicNow();
        const services = (await stack.connect().registry.listServices({})).services;
        for (const { instanceId } of services) {
          const instanceSecret = `the secret of ${instanceId}`;
          await stack.connect().registry.deregister({ instanceId, instanceSecret });
        }
        const anew = await members.each("reconnected", sinceAt);
        expect(anew.map(({ registeredAnew }) => registeredAnew)).toEqual([true, true]);
        await areKept(4);

        // The lease expires.
        members.program.kill("SIGSTOP");
        await eventually(async () => {
          const { services } = await stack.connect().registry.listServices({});
          const reasons = services.map(({ statusReason }) => statusReason);
          expect(reasons).toEqual(["expired", "expired"]);
        }, 15_000);
        sinceAt = monotonicNow();
        members.program.kill("SIGCONT");
        await members.each("reconnected", sinceAt);
        await areKept(4);

        await operate(stack, "clients", "restore", "box-1");
        await operate(stack, "clients", "edit", "nas", "--clear", "url,username");
        const entries = await stack.entries();
        expect(entries.get("box-1")).toMatchObject({ priority: 3, tags: ["kept"], ...seenAs(4) });
        expect(entries.get("nas")).toMatchObject({ priority: 7, username: "admin", ...seenAs(4) });
      },
    );
  });

  it(
    "#18 a registration that was updated while Pulse was away arrives once, as the newest",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const stack = await Stack.create();
      onTestFinished(() => stack.stop());
      let pulse = await stack.startPulse();
      const members = await stack.startMembers({ prefix: "box", count: 2, ...described(1) });
      await members.areRegistered();
      const watched = watchVersions(stack, "box-0");
      onTestFinished(watched.close);
      await eventually(() => expect(watched.versions).toEqual([1]));
      const killPulse = async () => {
        pulse.kill("SIGKILL");
        await pulse.exit;
      };
      /** Resolves when both services are back, to when Pulse listened and they came. */
      const startPulse = async () => {
        const startedAt = monotonicNow();
        pulse = await stack.startPulse();
        const listeningAt = monotonicNow();
        return { listeningAt, back: await members.each("reconnected", startedAt) };
      };
      const entry = async () => (await stack.entries()).get("box-0");

      await killPulse();
      for (const version of [2, 3, 4, 5, 6]) {
        update(members, "box-0", version);
        await sleep(100); // between attempts that fail, and beside them
      }
      const { listeningAt, back } = await startPulse();
      const backAt = back.find(({ member }) => member === "box-0")?.at ?? Number.NaN;
      figure(18, "ms from Pulse's return until the newest spec is there", backAt - listeningAt);
      expect(await entry()).toMatchObject(seenAs(6));
      expect(await generationOf(stack, "box-0")).toBe(2n);
      expect(await generationOf(stack, "box-1")).toBe(1n);
      await eventually(() => expect(watched.versions).toEqual([1, 6]));

      // What was acknowledged is there after a crash, without another Register.
      const askedAt = monotonicNow();
      update(members, "box-0", 7);
      await eventually(() => {
        const updated = members
          .events("box-0")
          .find(({ at, type }) => at >= askedAt && type === "updated");
        expect(updated).toBeDefined();
      });
      await killPulse();
      await startPulse();
      expect(await entry()).toMatchObject(seenAs(7));
      expect(await generationOf(stack, "box-0")).toBe(3n);

      // What is on its way while Pulse is killed does not come after what is newer.
      update(members, "box-0", 8);
      await killPulse();
      update(members, "box-0", 9);
      await startPulse();
      expect(await entry()).toMatchObject(seenAs(9));
      await eventually(() => expect(watched.versions.at(-1)).toBe(9));
      expect([
        [1, 6, 7, 9],
        [1, 6, 7, 8, 9],
      ]).toContainEqual(watched.versions);
      expect([4n, 5n]).toContain(await generationOf(stack, "box-0"));
    },
  );

  it(
    "#18 an emptied Pulse, too, hears of the newest alone",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const stack = await Stack.create();
      onTestFinished(() => stack.stop());
      const pulse = await stack.startPulse();
      const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
      const members = await stack.startMembers({ prefix: "box", token, ...described(1) });
      await members.areRegistered();
      const watched = watchVersions(stack, "box-0");
      onTestFinished(watched.close);
      const before = (await stack.entries()).get("box-0");
      await eventually(() => expect(watched.versions).toEqual([1]));
      pulse.kill("SIGKILL");
      await pulse.exit;
      await rm(stack.dataDirectory, { recursive: true });
      for (const version of [2, 3, 4]) update(members, "box-0", version);
      const sinceAt = monotonicNow();
      await stack.startPulse();
      await members.each("reconnected", sinceAt, 30_000);
      expect((await stack.entries()).get("box-0")).toMatchObject({ id: before?.id, ...seenAs(4) });
      expect(await generationOf(stack, "box-0")).toBe(1n);
      await eventually(() => expect(watched.versions).toEqual([1, 4]), 20_000);
    },
  );
});
