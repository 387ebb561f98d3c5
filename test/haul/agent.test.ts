import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Registration } from "../../src/client/index.js";
import { type Agent, createAgent } from "../../src/haul/agent.js";
import type { ClientSettings } from "../../src/haul/client-settings.js";
import type { RegisterIn } from "../../src/haul/registrar.js";
import { systemRandom } from "../../src/lib/random.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const PASSWORD = "plain-secret";

let directory: string;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
/** What Pulse would have been told, in order. */
let told: unknown[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "agent-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  clock = new ManualClock();
  log = recordingLog();
  told = [];
});

const registerIn: RegisterIn = (place) => (service, credentials) => {
  const name = place.slice(directory.length + 1);
  told.push(["register", name, service.name, credentials.state]);
  const registration: Registration = {
    state: "registered",
    grant: undefined,
    acknowledged: credentials,
    subscribe: () => () => {},
    update: (change) => void told.push(["update", service.name, change.credentials?.state]),
    report: ({ health }) => {
      if (health?.status !== "online") told.push([health?.status, service.name]);
    },
    close: async ({ deregister = false } = {}) =>
      void told.push([deregister ? "deregister" : "goodbye", service.name]),
  };
  return registration;
};

function start(as: "alone" | "several" = "several"): Agent {
  const agent = createAgent({
    as,
    stateDirectory: directory,
    pulse: "http://127.0.0.1:9696",
    environment: {},
    registerIn,
    clock,
    random: systemRandom,
    log,
  });
  onTestFinished(() => agent.stop());
  return agent;
}

async function startClient(name: string) {
  const client = new FakeQBittorrent();
  client.password = PASSWORD;
  const url = await serve(client.listener);
  const settings: ClientSettings = {
    ...{ name, kind: "qbittorrent", url, username: "me", secret: PASSWORD },
  };
  return { client, settings };
}

const isTold = (what: unknown) => eventually(async () => expect(told).toContainEqual(what));
const outcomeOf = (agent: Agent, name: string) =>
  agent.services().get(name)?.client?.finding?.probe.outcome;
const isAnswered = (agent: Agent, name: string, outcome: string) =>
  eventually(async () => expect(outcomeOf(agent, name)).toBe(outcome));

describe("several clients", () => {
  it("are registered each with an identity of its own", async () => {
    const [one, two] = [await startClient("one"), await startClient("Größe 2/3")];
    const agent = start();
    await agent.apply([one.settings, two.settings]);
    await isTold(["register", "clients/one", "one", "verified"]);
    await isTold([
      "register",
      expect.stringMatching(/^clients\/Gr__e_2_3\.[0-9a-f-]{36}$/),
      "Größe 2/3",
      "verified",
    ]);
    expect([...agent.services().keys()]).toEqual(["one", "Größe 2/3"]);
    expect(await readdir(join(directory, "clients"))).toHaveLength(2);
  });

  it("of which one is away or refuses do not hold up the others", async () => {
    const [good, bad] = [await startClient("good"), await startClient("bad")];
    const agent = start();
    const away = { ...good.settings, name: "away", url: "http://127.0.0.1:1" };
    await agent.apply([away, { ...bad.settings, secret: "plain-wrong" }, good.settings]);
    await isTold(["register", "clients/good", "good", "verified"]);
    await isAnswered(agent, "away", "unreachable");
    await isAnswered(agent, "bad", "authentication-failed");
    expect(told.filter((each) => String(each).startsWith("register"))).toHaveLength(1);
    expect(JSON.stringify(log.lines)).not.toMatch(/plain-/);
    expect(log.lines.map(({ fields }) => Object(fields).client)).toContain("bad");
  });

  it("say goodbye all together", async () => {
    const [one, two] = [await startClient("one"), await startClient("two")];
    const agent = start();
    await agent.apply([one.settings, two.settings]);
    await isAnswered(agent, "one", "ok");
    await isAnswered(agent, "two", "ok");
    await agent.stop();
    expect(told.slice(-2).sort()).toEqual([
      ["goodbye", "one"],
      ["goodbye", "two"],
    ]);
    expect(clock.pending).toBe(0);
  });
});

describe("another configuration", () => {
  it("deregisters what is gone, registers what is new, and leaves alone what is as it was", async () => {
    const [one, two] = [await startClient("one"), await startClient("two")];
    const agent = start();
    await agent.apply([one.settings]);
    await isTold(["register", "clients/one", "one", "verified"]);
    await agent.apply([{ ...one.settings }, two.settings]);
    await isTold(["register", "clients/two", "two", "verified"]);
    expect(one.client.logins).toBe(1);
    await agent.apply([two.settings]);
    expect(told.at(-1)).toEqual(["deregister", "one"]);
    expect([...agent.services().keys()]).toEqual(["two"]);
  });

  it("with the right password mends one that refuses: one log-in for each password", async () => {
    const { client, settings } = await startClient("one");
    const agent = start();
    await agent.apply([settings]);
    await isTold(["register", "clients/one", "one", "verified"]);
    client.password = "plain-changed";
    client.restart();
    await clock.advance(10_000);
    await isTold(["degraded", "one"]);
    await agent.apply([{ ...settings, minFreeBytes: 7 }]);
    await clock.advance(3_600_000);
    expect(client.badLogins).toBe(1);
    await agent.apply([{ ...settings, secret: "plain-wrong" }]);
    await eventually(async () => expect(client.badLogins).toBe(2));
    await isTold(["update", "one", "rejected"]);
    await clock.advance(3_600_000);
    expect(client.badLogins).toBe(2);
    await agent.apply([{ ...settings, secret: "plain-changed" }]);
    await isAnswered(agent, "one", "ok");
    expect(told.at(-1)).toEqual(["update", "one", "verified"]);
    expect(client.badLogins).toBe(2);
  });

  it("is not needed to find out that a password was changed while sessions went on", async () => {
    const { client, settings } = await startClient("one");
    const agent = start();
    await agent.apply([settings]);
    await isAnswered(agent, "one", "ok");
    client.password = "plain-changed";
    const foundAt = () => agent.services().get("one")?.client?.foundAt ?? 0;
    for (let i = 0; i < 80 && outcomeOf(agent, "one") === "ok"; i++) {
      const before = foundAt();
      await clock.advance(10_000);
      await eventually(async () => expect(foundAt()).toBeGreaterThan(before));
    }
    expect(outcomeOf(agent, "one")).toBe("authentication-failed");
    expect(client.badLogins).toBe(1);
  });

  it("of one that does not answer holds up that of no other", async () => {
    const [good, url] = [await startClient("good"), await serve(() => {})];
    const silent: ClientSettings = { ...good.settings, name: "silent", url };
    const agent = start();
    await agent.apply([silent, good.settings]);
    await isTold(["register", "clients/good", "good", "verified"]);
    good.client.password = "plain-changed";
    const applied = agent.apply(
      [silent, good.settings].map((each) => ({ ...each, secret: "plain-changed" })),
    );
    await isTold(["update", "good", "verified"]);
    await agent.stop();
    await applied;
    expect(told.at(-1)).toEqual(["goodbye", "good"]);
    expect(clock.pending).toBe(0);
  });

  it("after the end changes nothing", async () => {
    const { settings } = await startClient("one");
    const agent = start();
    await agent.stop();
    await agent.apply([settings]);
    expect(agent.services().size).toBe(0);
  });
});

describe("a client alone", () => {
  it("has the identity of its Haul", async () => {
    const { settings } = await startClient("haul");
    await start("alone").apply([settings]);
    await isTold(["register", "", "haul", "verified"]);
    expect(await readdir(directory)).not.toContain("clients");
  });
});

describe("a rotation", () => {
  const { signal } = new AbortController();

  it("is of the client that it names", async () => {
    const [one, two] = [await startClient("one"), await startClient("two")];
    const agent = start();
    await agent.apply([one.settings, two.settings]);
    await isAnswered(agent, "two", "ok");
    const rotate = (client?: string) =>
      agent.rotate({ overlapMs: 1, ...(client && { client }) }, signal);
    await expect(rotate()).rejects.toThrow('name one with --client: "one", "two"');
    await expect(rotate("three")).rejects.toThrow('it has "one", "two"');
    // Its secret is in no file: so far it came, and no further.
    await expect(rotate("two")).rejects.toThrow("the secret was not given in a file");
  });
});
