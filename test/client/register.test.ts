import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { registerWithRetry, startRegistration } from "../../src/client/register.js";
import type { RegistrationOptions } from "../../src/client/registration.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakePulse } from "./fake-pulse.js";

let pulse: FakePulse;
let clock: ManualClock;
let holds: number;
vi.mock("../../src/client/connection.js", () => ({ connectBare: () => pulse.dialBare() }));

beforeEach(() => {
  pulse = new FakePulse();
  clock = new ManualClock();
  holds = 0;
});

function options(changed: Partial<RegistrationOptions> = {}): RegistrationOptions {
  return {
    pulse: "127.0.0.1:9696",
    token: "t0ken",
    service: { name: "n", type: "t" },
    identity: { instanceId: "a", instanceSecret: "s3cret-s3cret-s3cret" },
    clock: {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      setTimer(delayMs, fn, how) {
        const timer = clock.setTimer(delayMs, fn);
        if (!how?.holdsProcess) return timer;
        holds++;
        return {
          cancel() {
            holds--;
            timer.cancel();
          },
        };
      },
    },
    random: seededRandom(),
    ...changed,
  };
}

describe("registerWithRetry", () => {
  it("resolves when registered, and holds the process until then only", async () => {
    const promise = registerWithRetry(options());
    expect(holds).toBe(1);
    const registration = await promise;
    expect(registration.state).toBe("registered");
    expect(holds).toBe(0);
    await registration.close();
    expect(clock.pending).toBe(0);
  });

  it("resolves when standalone, and holds the process for all of that time", async () => {
    pulse.mood = "away";
    const promise = registerWithRetry(options());
    await clock.advance(119_999);
    expect(holds).toBe(1);
    await clock.advance(1);
    const registration = await promise;
    expect([registration.state, holds]).toEqual(["standalone", 0]);
    pulse.mood = "well";
    await clock.advance(32_000);
    expect(registration.state).toBe("registered");
    await registration.close();
  });

  it("rejects with the field's name if the request is invalid", async () => {
    pulse.mood = new ConnectError("service.kind: is unknown", Code.InvalidArgument);
    await expect(registerWithRetry(options())).rejects.toThrow(/service\.kind/);
    expect([clock.pending, holds]).toEqual([0, 0]);
  });

  it("rejects with the signal's reason when it aborts, and leaves no timer", async () => {
    pulse.mood = "away";
    const controller = new AbortController();
    const promise = registerWithRetry(options({ signal: controller.signal }));
    const settled = expect(promise).rejects.toThrow("enough");
    await clock.advance(5_000);
    controller.abort(new Error("enough"));
    await settled;
    expect([clock.pending, holds]).toEqual([0, 0]);
    await expect(registerWithRetry(options({ signal: controller.signal }))).rejects.toThrow(
      "enough",
    );
  });

  it("rejects a bad option, instead of throwing it", async () => {
    await expect(registerWithRetry(options({ token: "" }))).rejects.toThrow(/^token is empty/);
  });
});

describe("startRegistration", () => {
  it("returns at once, and ends with its signal like close", async () => {
    const controller = new AbortController();
    const registration = startRegistration(options({ signal: controller.signal }));
    expect(registration.state).toBe("connecting");
    await settle();
    controller.abort();
    await registration.close();
    expect(pulse.beats.at(-1)?.goodbye).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("writes what happens to the log given", async () => {
    const lines: string[] = [];
    const write = (_: object, msg: string) => void lines.push(msg);
    const log = { debug: write, info: write, warn: write, error: write };
    const registration = startRegistration(options({ log }));
    await settle();
    await registration.close();
    expect(lines).toEqual(["registered with Pulse", "the registration with Pulse has ended"]);
  });

  const identity = { instanceId: "a", instanceSecret: "short" };
  const client = { name: "n", type: "download-client" };
  it.each<[string, Partial<RegistrationOptions>]>([
    ["pulse", { pulse: "" }],
    ["pulse", { pulse: "ftp://pulse" }],
    ["pulse", { pulse: "http://me:s3cret@pulse" }],
    ["pulse", { pulse: "http://pulse/path" }],
    ["token", { token: "two words" }],
    ["service.name", { service: { name: " ", type: "t" } }],
    ["service.type", { service: { name: "n", type: "" } }],
    ["service.kind", { service: { ...client, apiUrl: "http://h/" } }],
    ["service.apiUrl", { service: { ...client, kind: "aria2" } }],
    ["service.apiUrl", { service: { ...client, kind: "aria2", apiUrl: "localhost:1" } }],
    ["identity.directory", { identity: { directory: "" } }],
    ["identity.instanceSecret", { identity }],
    ["ttlMs", { ttlMs: 4_999 }],
    ["ttlMs", { ttlMs: Number.NaN }],
    ["standaloneAfterMs", { standaloneAfterMs: -1 }],
  ])("refuses a bad %s by name: %j", (name, changed) => {
    const start = () => startRegistration(options(changed));
    expect(start).toThrow(TypeError);
    expect(start).toThrow(new RegExp(`^${name.replace(".", "\\.")} `));
    expect(start).not.toThrow(/s3cret/);
    expect(clock.pending).toBe(0);
  });
});
