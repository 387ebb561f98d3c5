import { beforeEach, describe, expect, it } from "vitest";
import type { ClientTarget, Probe, ProbeFailure } from "../../src/adapters/adapter.js";
import type {
  Registration,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "../../src/client/index.js";
import type { AdvertisedAddress } from "../../src/haul/advertised-address.js";
import { createFronting, type Fronting } from "../../src/haul/fronting.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const TARGET: ClientTarget = {
  kind: "qbittorrent",
  url: "http://nas:8080",
  username: "me",
  secret: "plain-secret",
};

interface Report {
  readonly health?: ServiceHealth;
  readonly load?: ServiceLoad;
  readonly verified?: true;
}

/** What Pulse would have been told, in order. */
let told: unknown[];
let state: Registration["state"];
let log: ReturnType<typeof recordingLog>;
let fronting: Fronting;

beforeEach(() => {
  told = [];
  state = "registered";
  log = recordingLog();
  const registration: Registration = {
    get state() {
      return state;
    },
    grant: undefined,
    acknowledged: undefined,
    subscribe: () => () => {},
    update: ({ service, credentials, health }) =>
      void told.push([
        "update",
        service?.version,
        service?.apiUrl,
        credentials?.state,
        health?.status,
      ]),
    report: ({ health, load, verified }: Report) =>
      void told.push({
        ...health,
        ...(load && { active: load.active }),
        ...(verified && { verified }),
      }),
    close: async () => void told.push("close"),
  };
  fronting = createFronting({
    describe: ({ kind }, apiUrl, { version }) => ({
      name: "haul",
      type: "download-client",
      kind,
      apiUrl,
      version,
    }),
    register(service: ServiceDescription, credentials: ServiceCredentials, health: ServiceHealth) {
      told.push(["register", service.version, service.apiUrl, credentials, health.status]);
      return registration;
    },
    rules: () => ({ minFreeBytes: 1_000, stalledAfterMs: 60_000 }),
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
const SILENT = failed("unreachable");
const DEAD: Probe = { outcome: "unreachable", message: "nobody listens", isRefused: true };
const messages = () => log.lines.map(({ level, msg }) => `${level} ${msg}`);
const NOT_REACHABLE: AdvertisedAddress = { ok: false, problem: "it listens on 127.0.0.1 only" };

function take(
  probe: Probe,
  change: {
    readonly target?: ClientTarget;
    readonly address?: AdvertisedAddress;
    readonly nextInMs?: number | undefined;
  } = {},
): void {
  const { target = TARGET } = change;
  const { address = { ok: true, url: target.url } as const, nextInMs = 1_000 } = change;
  const isLast = "nextInMs" in change && change.nextInMs === undefined;
  fronting.take(
    { target, probe, ...(probe.outcome === "ok" && { address }) },
    isLast ? undefined : nextInMs,
  );
}

describe("before the first good probe", () => {
  it.each([
    "unreachable",
    "wrong-kind",
    "unsupported-version",
    "authentication-failed",
    "banned",
  ] as const)("%s registers nothing", (outcome) => {
    for (let i = 0; i < 3; i++) take(failed(outcome));
    expect(told).toEqual([]);
    expect(fronting.registration).toBeUndefined();
  });

  it("says once that it is away, the rest quietly", () => {
    for (let i = 0; i < 3; i++) take(SILENT);
    expect(messages()).toEqual([
      "warn haul.client-unreachable",
      "debug haul.client-unreachable",
      "debug haul.client-unreachable",
    ]);
    expect(log.lines[0]?.fields).toMatchObject({ detail: expect.stringContaining("registered") });
  });

  it("says after a refusal what it waits for", () => {
    take(failed("authentication-failed"), { nextInMs: undefined });
    expect(log.lines[0]?.fields).toMatchObject({
      detail: expect.stringContaining("until its configuration or its secret changes"),
    });
  });
});

describe("a good probe", () => {
  const CREDENTIALS = { username: "me", apiKey: "plain-secret", state: "verified" };

  it("registers with the credentials that it has proven", () => {
    take(ok());
    expect(told).toEqual([
      ["register", "4.5.2", "http://nas:8080", CREDENTIALS, "online"],
      { status: "online", active: 1, verified: true },
    ]);
    expect(JSON.stringify(log.lines)).not.toContain("plain-secret");
  });

  it("that was not asked for credentials has proven nothing", () => {
    take(ok("4.5.2", "not-asked"));
    expect(told).toMatchObject([
      ["register", "4.5.2", "http://nas:8080", { state: "unverified" }, "online"],
      { status: "online", active: 1 },
    ]);
    expect(told[1]).not.toHaveProperty("verified");
    expect(messages()).toContain("warn haul.client-credentials-unproven");
  });

  it("without credentials clears those of an earlier configuration", () => {
    take(ok(), { target: { kind: "aria2", url: "http://nas:6800" } });
    expect(told[0]).toMatchObject([
      "register",
      "4.5.2",
      "http://nas:6800",
      { username: "", apiKey: "" },
      "online",
    ]);
  });

  it("of a client that is not well registers it as it is", () => {
    take({ ...ok(), load: { freeBytes: 10 } } as Probe);
    expect(told[0]).toMatchObject(["register", "4.5.2", "http://nas:8080", {}, "degraded"]);
  });

  it("of a client that managers cannot reach registers nothing, and says once why", () => {
    take(ok(), { address: NOT_REACHABLE });
    take(ok(), { address: NOT_REACHABLE });
    expect(told).toEqual([]);
    expect(log.lines.filter(({ level }) => level === "warn")).toEqual([
      expect.objectContaining({
        msg: "haul.client-not-reachable",
        fields: expect.objectContaining({ detail: "it listens on 127.0.0.1 only" }),
      }),
    ]);
    take(ok(), { address: { ok: true, url: "http://192.0.2.7:8080", note: "by the route" } });
    expect(told[0]).toMatchObject(["register", "4.5.2", "http://192.0.2.7:8080", {}, "online"]);
  });
});

describe("once registered", () => {
  beforeEach(() => {
    take(ok());
    told = [];
  });

  it("one silence changes nothing, the second is OFFLINE, and an answer is ONLINE", () => {
    take(SILENT);
    take(SILENT);
    take(ok());
    expect(told).toEqual([
      { status: "online" },
      { status: "offline", reason: "download client unreachable" },
      { status: "online", reason: "download client answers", active: 1, verified: true },
    ]);
  });

  it("is OFFLINE at once if nobody listens there", () => {
    take(DEAD);
    expect(told).toEqual([{ status: "offline", reason: "download client unreachable" }]);
  });

  it("a refusal is DEGRADED at once, and the credentials are REJECTED", () => {
    take(failed("authentication-failed"), { nextInMs: undefined });
    expect(told).toEqual([
      ["update", "4.5.2", "http://nas:8080", "rejected", "degraded"],
      { status: "degraded", reason: "download client refuses the credentials" },
    ]);
  });

  it("a mistyped secret is DEGRADED, and takes the place of no good one", () => {
    take(failed("authentication-failed"), {
      target: { ...TARGET, secret: "plain-mistyped" },
      nextInMs: undefined,
    });
    expect(told).toEqual([
      { status: "degraded", reason: "download client refuses the credentials" },
    ]);
  });

  it("the right credentials after that are VERIFIED, and it is ONLINE", () => {
    take(failed("authentication-failed"), { nextInMs: undefined });
    told = [];
    take(ok(), { target: { ...TARGET, secret: "plain-mended" } });
    expect(told).toEqual([
      ["update", "4.5.2", "http://nas:8080", "verified", "online"],
      { status: "online", reason: "download client answers", active: 1, verified: true },
    ]);
  });

  it("an old session proves nothing new", () => {
    take({ ...ok(), isBySession: true } as Probe);
    expect(told).toEqual([{ status: "online", active: 1 }]);
  });

  it("a new version is registered", () => {
    take(ok("5.0.0"));
    expect(told[0]).toEqual(["update", "5.0.0", "http://nas:8080", "verified", "online"]);
  });

  it("a new address is registered when it has answered there", () => {
    const target = { ...TARGET, url: "http://nas:9090" };
    take(SILENT, { target });
    expect(told).toEqual([{ status: "online" }]);
    take(ok(), { target });
    expect(told[1]).toEqual(["update", "4.5.2", "http://nas:9090", "verified", "online"]);
  });

  it("one that managers cannot reach any more stays where they know it", () => {
    take(ok("5.0.0"), { address: NOT_REACHABLE });
    expect(told[0]).toEqual(["update", "5.0.0", "http://nas:8080", "verified", "online"]);
  });

  it("what Pulse has refused as invalid is given up, and registered when it has changed", () => {
    state = "failed";
    take(ok());
    expect(told).not.toContainEqual(expect.arrayContaining(["register"]));
    take(ok("5.0.0"));
    expect(told.slice(-3)).toMatchObject([
      "close",
      ["register", "5.0.0", "http://nas:8080", {}, "online"],
      { status: "online" },
    ]);
  });

  it("credentials that it is about to take are registered, unproven", () => {
    fronting.announce({ ...TARGET, secret: "plain-next" });
    expect(told).toEqual([["update", "4.5.2", "http://nas:8080", "unverified", "online"]]);
  });
});
