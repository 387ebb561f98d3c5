import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { keyIdOf } from "../../src/lib/sealing.js";
import { parseKeys } from "../../src/store/secret-key.js";
import { eventually } from "../support/eventually.js";
import { operate } from "../support/operator.js";
import type { RunningProgram } from "../support/processes.js";
import { LONG_TTL } from "../support/pulse.js";
import { seededRandom } from "../support/seeded-random.js";
import { Stack } from "../support/stack.js";

const SERVICES = 300;
const STEPS = ["prepared", "adopted", "resealed", "purged", "retired"] as const;
const RANDOM_KILLS = 5;
/** Within which a rotation of so many is over, even on a busy machine. */
const MAX_ROTATION_MS = 250;
const DEBUG = { PULSE_LOG_LEVEL: "debug" };

/** A service that changes its API key all the time, and knows which one was acknowledged. */
class KeyWriter {
  readonly acknowledged = new Map<string, string>();
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(private readonly stack: Stack) {
    this.#done = this.#write();
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.#done;
  }

  async #write(): Promise<void> {
    const { registry } = this.stack.connect();
    for (let n = 0; !this.#isStopped; ) {
      const name = `service-${n % SERVICES}`;
      const serviceApiKey = `key ${n} of ${name}`;
      const service = {
        name,
        type: "download-client",
        kind: "qbittorrent",
        apiUrl: "http://nas:1",
      };
      const identity = { instanceId: name, instanceSecret: `the secret of ${name}` };
      try {
        await registry.register({ service, ...identity, serviceApiKey, requestedTtl: LONG_TTL });
        this.acknowledged.set(name, serviceApiKey);
        n++;
      } catch {
        this.acknowledged.delete(name); // it may have been made, or not: tried again until it is
        await sleep(20);
      }
    }
  }
}

it("that is killed at any moment can be gone on with, and loses no password", async () => {
  const seed = 4_711;
  const random = seededRandom(seed);
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  let pulse = await stack.startPulse(DEBUG);
  const idsInFile = async () => {
    const text = await readFile(join(stack.dataDirectory, "secret.key"), "utf8");
    return parseKeys(text)?.map(keyIdOf) ?? [];
  };
  const firstIds = await idsInFile();
  const writer = new KeyWriter(stack);
  onTestFinished(() => writer.stop());
  await eventually(() => expect(writer.acknowledged.size).toBe(SERVICES), 15_000);

  const startRotation = () =>
    stack.group.start("pulse", ["secrets", "rotate"], {
      PULSE_URL: stack.url,
      PULSE_DATA: stack.dataDirectory,
    });
  async function killDuring(moment: (pulse: RunningProgram) => Promise<unknown>): Promise<void> {
    const rotation = startRotation();
    await moment(pulse);
    pulse.kill("SIGKILL");
    await pulse.exit;
    await rotation.exit;
    pulse = await stack.startPulse(DEBUG); // all that it has opens
  }

  for (const step of STEPS)
    await killDuring((running) => running.output(new RegExp(`"step":"${step}"`)));
  for (let n = 0; n < RANDOM_KILLS; n++)
    await killDuring(async (running) => {
      await running.line("secrets.rotating");
      await sleep(MAX_ROTATION_MS * random.next());
    });

  const printed = await operate(stack, "secrets", "rotate", "--json");
  const { keyId, retiredKeyIds } = JSON.parse(printed) as Record<string, unknown>;
  await writer.stop();
  expect(await idsInFile()).toEqual([keyId]);
  expect(retiredKeyIds).not.toContain(keyId);
  expect((await stat(join(stack.dataDirectory, "secret.key"))).mode & 0o777).toBe(0o600);
  const passwords = new Map(
    [...(await stack.entries())].map(([name, { password }]) => [name, password]),
  );
  expect(passwords.size).toBe(SERVICES);
  expect(writer.acknowledged.size).toBeGreaterThan(SERVICES - 2);
  for (const [name, apiKey] of writer.acknowledged) expect(passwords.get(name)).toBe(apiKey);

  // No older key is left anywhere, nor anything that it has sealed.
  const names = await readdir(stack.dataDirectory);
  expect(names.filter((name) => name.startsWith("secret.key"))).toEqual(["secret.key"]);
  for (const name of names.filter((each) => each.startsWith("pulse.db"))) {
    const text = await readFile(join(stack.dataDirectory, name), "latin1");
    expect(text.includes(`2.${firstIds[0]}.`)).toBe(false);
    const ids = [...text.matchAll(/2\.([0-9a-f]{8})\.[\w-]{40}/g)].map(([, id]) => id);
    expect([...new Set(ids)].filter((id) => id !== keyId)).toEqual([]);
  }
}, 120_000);

it("that has no new key to use is told to the operator in a sentence", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const key = "7c".repeat(32);
  await stack.startPulse({ PULSE_SECRET_KEY: key });
  const refused = await operate(stack, "secrets", "rotate").catch((error: Error) => error);
  expect(String(refused)).toMatch(/PULSE_SECRET_KEY holds only one.*NEW,OLD/);
  expect(String(refused)).not.toContain(key);
});
