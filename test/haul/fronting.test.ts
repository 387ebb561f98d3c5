import { beforeEach, describe, expect, it } from "vitest";
import type { ClientTarget, Probe, ProbeFailure } from "../../src/adapters/adapter.js";
import type {
  Registration,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "../../src/client/index.js";
import { Fronting } from "../../src/haul/fronting.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const TARGET: ClientTarget = {
  kind: "qbittorrent",
  url: "http://nas:8080",
  username: "me",
  secret: "plain-secret",
};

/** What Pulse would have been told, in order. */
let told: unknown[];
let log: ReturnType<typeof recordingLog>;
let fronting: Fronting;

beforeEach(() => {
  told = [];
  log = recordingLog();
  const registration: Registration = {
    state: "registered",
    grant: undefined,
    acknowledged: undefined,
    subscribe: () => () => {},
    update: ({ service, credentials }) =>
      void told.push(["update", service?.version, service?.apiUrl, credentials?.state]),
    report: ({ health, load }: { health?: ServiceHealth; load?: ServiceLoad }) =>
      void told.push(health ? [health.status, health.reason] : ["load", load?.active]),
    close: async () => {},
  };
  fronting = new Fronting(TARGET, {
    describe: ({ kind, url }, version) => ({
      name: "haul",
      type: "download-client",
      kind,
      apiUrl: url,
      version,
    }),
    register(service: ServiceDescription, credentials: ServiceCredentials) {
      told.push(["register", service.version, credentials]);
      return registration;
    },
    log,
    clock: new ManualClock(),
  });
});

const ok = (version = "4.5.2", credentials: "accepted" | "not-asked" = "accepted"): Probe => ({
  outcome: "ok",
  message: `answers as ${version}`,
  version,
  load: { active: 1 },
  credentials,
});
const failed = (outcome: ProbeFailure["outcome"]): Probe => ({ outcome, message: outcome });
const messages = () => log.lines.map(({ level, msg }) => `${level} ${msg}`);

describe("before the first good probe", () => {
  it.each([
    "unreachable",
    "wrong-kind",
    "unsupported-version",
    "authentication-failed",
    "banned",
  ] as const)("%s registers nothing", (outcome) => {
    for (let i = 0; i < 3; i++) fronting.take(failed(outcome), 1_000);
    expect(told).toEqual([]);
    expect(fronting.registration).toBeUndefined();
  });

  it("says once that it is away, the rest quietly", () => {
    for (let i = 0; i < 3; i++) fronting.take(failed("unreachable"), 1_000);
    expect(messages()).toEqual([
      "warn haul.client-unreachable",
      "debug haul.client-unreachable",
      "debug haul.client-unreachable",
    ]);
    expect(log.lines[0]?.fields).toMatchObject({ detail: expect.stringContaining("registered") });
  });

  it("says that it does not try again after a refusal", () => {
    fronting.take(failed("authentication-failed"), undefined);
    expect(log.lines[0]?.fields).toMatchObject({ detail: expect.stringContaining("restarted") });
  });
});

describe("a good probe", () => {
  it("registers with the credentials that it has proven", () => {
    fronting.take(ok(), 1_000);
    const credentials = { username: "me", apiKey: "plain-secret", state: "verified" };
    expect(told).toEqual([
      ["register", "4.5.2", credentials],
      ["load", 1],
    ]);
    expect(JSON.stringify(log.lines)).not.toContain("plain-secret");
  });

  it("that was not asked for credentials has proven nothing", () => {
    fronting.take(ok("4.5.2", "not-asked"), 1_000);
    expect(told[0]).toMatchObject(["register", "4.5.2", { state: "unverified" }]);
    expect(messages()).toContain("warn haul.client-credentials-unproven");
  });

  it("without credentials clears those of an earlier configuration", () => {
    fronting.moveTo({ kind: "aria2", url: "http://nas:6800" });
    fronting.take(ok(), 1_000);
    expect(told[0]).toMatchObject(["register", "4.5.2", { username: "", apiKey: "" }]);
  });
});

describe("once registered", () => {
  beforeEach(() => {
    fronting.take(ok(), 1_000);
    told = [];
  });

  it("one failure changes nothing, the second is DEGRADED, and an answer is ONLINE", () => {
    fronting.take(failed("unreachable"), 1_000);
    expect(told).toEqual([]);
    fronting.take(failed("unreachable"), 1_000);
    expect(told).toEqual([["degraded", "download client unreachable"]]);
    fronting.take(ok(), 1_000);
    fronting.take(ok(), 1_000);
    expect(told.slice(1)).toEqual([
      ["online", "download client answers"],
      ["load", 1],
      ["load", 1],
    ]);
  });

  it("a refusal is DEGRADED at once, and the credentials are REJECTED", () => {
    fronting.take(failed("authentication-failed"), undefined);
    expect(told).toEqual([
      ["update", "4.5.2", "http://nas:8080", "rejected"],
      ["degraded", "download client refuses the credentials"],
    ]);
  });

  it("a new version is registered", () => {
    fronting.take(ok("5.0.0"), 1_000);
    expect(told[0]).toEqual(["update", "5.0.0", "http://nas:8080", "verified"]);
  });

  it("a new address is registered when it has answered there", () => {
    fronting.moveTo({ ...TARGET, url: "http://nas:9090" });
    fronting.take(failed("unreachable"), 1_000);
    expect(told).toEqual([]);
    fronting.take(ok(), 1_000);
    expect(told[0]).toEqual(["update", "4.5.2", "http://nas:9090", "verified"]);
  });
});
