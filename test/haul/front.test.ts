import { EventEmitter, once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import type { Registration } from "../../src/client/index.js";
import { createClientSecret } from "../../src/haul/client-secret.js";
import { type Front, type FrontedBy, startFront } from "../../src/haul/front.js";
import { systemRandom } from "../../src/lib/random.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

// What a client gets to know of its Front: how often it is logged in to, and with what.

const PASSWORD = "plain-secret";

let client: FakeQBittorrent;
let clock: ManualClock;
let fronted: FrontedBy;
let front: Front;
beforeEach(async () => {
  client = new FakeQBittorrent();
  client.password = PASSWORD;
  clock = new ManualClock();
  const url = await serve(client.listener);
  const options = { clock, random: systemRandom, log: recordingLog() };
  fronted = await frontedAt(url, options);
  const register = () => quietRegistration();
  front = startFront({ client: fronted, register, ...options });
  onTestFinished(() => front.stop());
  await isFound("ok");
});

async function frontedAt(
  url: string,
  options: Omit<Parameters<typeof createClientSecret>[1], "stateDirectory">,
): Promise<FrontedBy> {
  const stateDirectory = await mkdtemp(join(tmpdir(), "front-test-"));
  onTestFinished(() => rm(stateDirectory, { recursive: true, force: true }));
  const secretFile = join(stateDirectory, "password");
  await writeFile(secretFile, PASSWORD);
  const target = { kind: "qbittorrent", url, secret: PASSWORD, secretFile } as const;
  const secret = await createClientSecret(target, { stateDirectory, ...options });
  return {
    get target() {
      return secret.target;
    },
    settle: secret.settle,
    changeSecret: secret.change,
    addressOf: async (url) => ({ ok: true, url }),
    describe: ({ kind }, apiUrl) => ({ name: "box", type: "download-client", kind, apiUrl }),
    rules: { minFreeBytes: 0, stalledAfterMs: 0 },
  };
}

function quietRegistration(): Registration {
  return {
    state: "registered",
    grant: undefined,
    acknowledged: undefined,
    subscribe: () => () => {},
    update: () => {},
    report: () => {},
    close: async () => {},
  };
}

const isFound = (outcome: string) =>
  eventually(async () => expect(front.status().client?.finding?.probe.outcome).toBe(outcome));

it("a rotation of a client that has another password meanwhile is one log-in that is refused", async () => {
  client.password = "plain-changed";
  client.restart();
  await expect(front.rotate(new AbortController().signal)).rejects.toThrow("does not let Haul in");
  await isFound("authentication-failed");
  await clock.advance(3_600_000);
  expect([client.badLogins, client.password]).toEqual([1, "plain-changed"]);
});

it("whatever asks again, credentials that were refused are not sent again", async () => {
  client.password = "plain-changed";
  client.restart();
  await clock.advance(10_000);
  await isFound("authentication-failed");
  const { foundAt = 0 } = front.status().client ?? {};
  await clock.advance(3_600_000);
  await front.change(async () => fronted);
  await eventually(async () => expect(front.status().client?.foundAt).toBeGreaterThan(foundAt));
  expect(client.badLogins).toBe(1);
});

it("a stop does not wait for a check of the VPN, which it ends", async () => {
  const ended = new EventEmitter();
  const checked = vi.fn(async (): Promise<"up"> => {
    await once(ended, "now");
    return "up";
  });
  const stop = async () => void ended.emit("now");
  await front.change(async () => ({ ...fronted, vpn: checked, stop }));
  await eventually(async () => expect(checked).toHaveBeenCalled());
  await front.stop();
  expect(clock.pending).toBe(0);
});
