import { beforeAll, describe, expect, it } from "vitest";
import {
  checkRegistrationOptions,
  connectPulse,
  type PulseSecurity,
  startRegistration,
  streamServiceResponses,
  watchDownloadClients,
} from "../../src/client/index.js";
import { checkTarget, plainTextExposure } from "../../src/client/target.js";
import { createTestAuthority } from "../support/authority.js";
import { recordingLog } from "../support/recording-log.js";

let ca: string;
beforeAll(async () => {
  ({ ca } = await createTestAuthority());
});

const LOOPBACK = [
  "http://127.0.0.1:9696",
  "http://127.9.8.7",
  "localhost",
  "LOCALHOST:80",
  "[::1]:9696",
  "http://localhost,127.0.0.1",
];
const ELSEWHERE = [
  "http://192.168.1.5:9696",
  "pulse.lan",
  "nas:9696",
  "http://localhost.example",
  "http://127.0.0.1.example",
  "http://[::2]",
  "http://[fe80::1]:9696",
  "http://0.0.0.0:9696",
  "http://127.0.0.1,http://10.0.0.2:9696",
];

describe("plain text", () => {
  it.each(LOOPBACK)("to %s needs no word", (pulse) => {
    expect(checkTarget({ pulse })).toHaveLength(pulse.split(",").length);
    expect(plainTextExposure(pulse)).toBeUndefined();
  });

  it.each(ELSEWHERE)("to %s is refused unless it is said", (pulse) => {
    const refused = () => checkTarget({ pulse });
    expect(refused).toThrow(TypeError);
    expect(refused).toThrow(
      /^pulse is refused: http:\S+ is plain text to another host, .*token.* passwords of all download clients\. Use https:\/\/ \(with tls\.ca or .*insecure: true$/,
    );
    expect(() => checkTarget({ pulse, insecure: false })).toThrow(/^pulse is refused/);
    expect(checkTarget({ pulse, insecure: true })).not.toEqual([]);
  });

  it("is nothing that https has", () => {
    expect(checkTarget({ pulse: "https://pulse.lan" })).toEqual(["https://pulse.lan:443"]);
    expect(plainTextExposure("https://a,https://b")).toBeUndefined();
  });
});

const service = { name: "n", type: "t" };
const identity = { instanceId: "a", instanceSecret: "a secret of 16 or more" };
const register = { token: "t", service, identity };

describe("every way to Pulse refuses at once", () => {
  const ways: Record<string, (target: PulseSecurity & { pulse: string }) => unknown> = {
    checkRegistrationOptions: (target) => checkRegistrationOptions({ ...target, ...register }),
    startRegistration: (target) => startRegistration({ ...target, ...register }),
    connectPulse: (target) => connectPulse({ ...target, token: "t" }),
    watchDownloadClients: (target) => watchDownloadClients({ ...target, token: "t" }),
    streamServiceResponses: (target) => streamServiceResponses({ ...target, token: "t" }),
  };
  it.each(Object.entries(ways))("%s", (_, call) => {
    expect(() => call({ pulse: "pulse.lan:9696" })).toThrow(/^pulse is refused/);
    expect(() => call({ pulse: "127.0.0.1", tls: { ca } })).toThrow(/^tls is given, but pulse/);
    expect(() => call({ pulse: "127.0.0.1", tls: () => ({ ca }) })).toThrow(/^tls is given, but/);
    expect(() => call({ pulse: "https://x", tls: { ca: "x" } })).toThrow(/^tls\.ca holds no/);
    expect(() => call({ pulse: "https://x", tls: { fingerprint: "x" } })).toThrow(
      /^tls\.fingerprint is not/,
    );
    expect(() => call({ pulse: "pulse.lan", insecure: "no" as unknown as boolean })).toThrow(
      /^insecure must be/,
    );
  });
});

it("what is insecure is said once in the log", async () => {
  const log = recordingLog();
  const insecure = { pulse: "http://192.0.2.1:9", insecure: true, token: "t", log };
  const running = [
    startRegistration({ ...insecure, service, identity }),
    watchDownloadClients(insecure),
  ];
  const warnings = log.lines.filter(
    ({ fields }) => "event" in fields && fields.event === "plain-text",
  );
  expect(warnings).toMatchObject([
    { level: "warn", msg: expect.stringMatching(/plain text to another host/) },
    { level: "warn" },
  ]);
  for (const each of running) await each.close();
});
