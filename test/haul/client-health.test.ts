import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ClientLoad, Probe, ProbeFailure } from "../../src/adapters/adapter.js";
import {
  DEFAULT_MIN_FREE_BYTES,
  DEFAULT_STALLED_AFTER_MS,
  type HealthRules,
  judge,
  UNJUDGED,
  type Verdict,
} from "../../src/haul/client-health.js";
import type { VpnState } from "../../src/haul/vpn-check.js";

const GIB = 1024 ** 3;
const MINUTE_MS = 60_000;
const RULES: HealthRules = {
  minFreeBytes: DEFAULT_MIN_FREE_BYTES,
  stalledAfterMs: DEFAULT_STALLED_AFTER_MS,
};
const ANSWERS = ["online", "download client answers"];
const UNREACHABLE = ["offline", "download client unreachable"];
const DISK = ["degraded", "disk almost full"];
const STALLED = ["degraded", "stalled: nothing received for 15 min"];

const ok = (load: ClientLoad = {}): Probe => ({
  outcome: "ok",
  message: "",
  version: "1",
  load,
  credentials: "accepted",
});
const failed = (outcome: ProbeFailure["outcome"]): Probe => ({ outcome, message: "" });
const SILENT = failed("unreachable");
const REFUSED: Probe = { outcome: "unreachable", message: "", isRefused: true };
const free = (gib: number) => ok({ freeBytes: gib * GIB });
const idle = ok({ active: 1, downloadBytesPerSecond: 0 });

interface Step {
  readonly probe: Probe;
  readonly vpn?: VpnState;
  readonly afterMs?: number;
}

/** Status and reason after each of the probes, 10 s apart unless they say otherwise. */
function told(steps: readonly (Step | Probe)[], rules = RULES): unknown[][] {
  let verdict = UNJUDGED;
  let now = 0;
  return steps.map((step) => {
    const { probe, vpn, afterMs = 10_000 }: Step = "probe" in step ? step : { probe: step };
    now += afterMs;
    verdict = judge(verdict, { probe, vpn, now }, rules);
    return [verdict.health.status, verdict.health.reason];
  });
}

const lastOf = (steps: readonly (Step | Probe)[], rules = RULES) => told(steps, rules).at(-1);

describe("a client that does not answer", () => {
  it("is offline at the second silence in a row, and as before until then", () => {
    expect(told([ok(), SILENT, SILENT])).toEqual([
      ["online", undefined],
      ["online", undefined],
      UNREACHABLE,
    ]);
  });

  it("is not offline for silences with an answer in between", () => {
    for (const [status] of told([ok(), SILENT, ok(), SILENT, ok(), SILENT]))
      expect(status).toBe("online");
  });

  it("keeps through one silence what was wrong", () => {
    expect(told([free(0.5), SILENT, free(0.5)])).toEqual([DISK, DISK, DISK]);
  });

  it("is offline at once if nobody listens there, or something else does", () => {
    expect(told([ok(), REFUSED])[1]).toEqual(UNREACHABLE);
    expect(told([ok(), failed("wrong-kind")])[1]).toEqual([
      "offline",
      "something else answers at the download client's address",
    ]);
  });

  it("stays offline however it fails to answer, and is back at the first answer", () => {
    expect(told([REFUSED, SILENT, SILENT, SILENT, ok(), ok()])).toEqual([
      ...Array(4).fill(UNREACHABLE),
      ANSWERS,
      ANSWERS,
    ]);
  });
});

describe("a client that does not let Haul in", () => {
  it.each([
    ["authentication-failed", "download client refuses the credentials"],
    ["banned", "download client has banned Haul's address for a while"],
    ["unsupported-version", "download client's version is not supported"],
  ] as const)("is degraded at once: %s", (outcome, reason) => {
    expect(lastOf([ok(), failed(outcome)])).toEqual(["degraded", reason]);
  });
});

describe("a disk", () => {
  it("is almost full below the bound, and good again only at a quarter more", () => {
    expect(told([free(1), free(0.99), free(1.24), free(1.25), free(1)])).toEqual([
      ["online", undefined],
      DISK,
      DISK,
      ANSWERS,
      ANSWERS,
    ]);
  });

  it("of which the client says nothing is as it was", () => {
    expect(told([ok(), free(0.5), ok()])).toEqual([["online", undefined], DISK, DISK]);
  });

  it("stays what it was while the client is away", () => {
    expect(lastOf([free(0.5), REFUSED, free(1.1)])).toEqual(DISK);
  });

  it("is never almost full for the bound 0, also if it was by another one", () => {
    const before = judge(UNJUDGED, { probe: free(0.5), vpn: undefined, now: 0 }, RULES);
    const after = judge(
      before,
      { probe: ok(), vpn: undefined, now: 1 },
      { ...RULES, minFreeBytes: 0 },
    );
    expect(after.health.status).toBe("online");
  });
});

describe("downloads that receive nothing", () => {
  const later = { probe: idle, afterMs: 15 * MINUTE_MS };

  it("are stalled after 15 min, not before", () => {
    expect(lastOf([idle, { probe: idle, afterMs: 15 * MINUTE_MS - 1 }])?.[0]).toBe("online");
    expect(lastOf([idle, later])).toEqual(STALLED);
  });

  it.each([
    ["one that receives something", ok({ active: 1, downloadBytesPerSecond: 1 })],
    ["none", ok({ active: 0, downloadBytesPerSecond: 0 })],
    ["an unknown rate", ok({ active: 1 })],
    ["an unknown number", ok({ downloadBytesPerSecond: 0 })],
    ["a client that was away", REFUSED],
    ["a refusal", failed("authentication-failed")],
  ])("count anew after %s", (_, probe) => {
    expect(lastOf([idle, probe, { probe: idle, afterMs: 20 * MINUTE_MS }])?.[1]).not.toEqual(
      STALLED[1],
    );
  });

  it("go on counting through one silence", () => {
    expect(lastOf([idle, SILENT, later])).toEqual(STALLED);
  });

  it("are good again as soon as something comes", () => {
    expect(lastOf([idle, later, ok({ active: 1, downloadBytesPerSecond: 1 })])).toEqual(ANSWERS);
  });

  it("are stalled after what was configured, which the reason says; never for 0", () => {
    const reasonFor = (stalledAfterMs: number) =>
      lastOf([idle, { probe: idle, afterMs: 90_000 }], { ...RULES, stalledAfterMs })?.[1];
    expect(reasonFor(90_000)).toBe("stalled: nothing received for 90 s");
    expect(reasonFor(60_000)).toBe("stalled: nothing received for 1 min");
    expect(reasonFor(0)).toBeUndefined();
  });
});

describe("a VPN", () => {
  it.each([
    ["down", ["degraded", "VPN is down"]],
    ["up", ["online", undefined]],
    ["unknown", ["online", undefined]],
  ] as const)("that is %s", (vpn, expected) => {
    expect(lastOf([{ probe: ok(), vpn }])).toEqual(expected);
  });

  it("that is down comes first of several reasons", () => {
    const probe = ok({ active: 1, downloadBytesPerSecond: 0, freeBytes: 1 });
    expect(lastOf([probe, { probe, vpn: "down", afterMs: 15 * MINUTE_MS }])).toEqual([
      "degraded",
      "VPN is down; disk almost full; stalled: nothing received for 15 min",
    ]);
  });

  it("says nothing of a client that does not answer", () => {
    expect(lastOf([{ probe: REFUSED, vpn: "down" }])).toEqual(UNREACHABLE);
  });
});

describe("whatever happens", () => {
  const load: fc.Arbitrary<ClientLoad> = fc.record(
    {
      freeBytes: fc.integer({ min: 0, max: 200 }),
      active: fc.integer({ min: 0, max: 2 }),
      downloadBytesPerSecond: fc.integer({ min: 0, max: 2 }),
    },
    { requiredKeys: [] },
  );
  const step = fc.record({
    probe: fc.oneof(
      { weight: 4, arbitrary: load.map(ok) },
      { weight: 2, arbitrary: fc.constant(SILENT) },
      fc.constant(REFUSED),
      fc
        .constantFrom("wrong-kind", "authentication-failed", "banned", "unsupported-version")
        .map((outcome) => failed(outcome as ProbeFailure["outcome"])),
    ),
    vpn: fc.constantFrom<VpnState>("up", "down", "unknown"),
    afterMs: fc.integer({ min: 1, max: 10 }),
  });
  const rules: HealthRules = { minFreeBytes: 100, stalledAfterMs: 20 };

  function run(steps: readonly Required<Step>[], visit: (before: Verdict, i: number) => Verdict) {
    let verdict = UNJUDGED;
    for (const i of steps.keys()) verdict = visit(verdict, i);
  }

  it("an answer is judged by what its history says, not by what was wrong in between", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const times = steps.map((_, i) =>
          steps.slice(0, i + 1).reduce((sum, { afterMs }) => sum + afterMs, 0),
        );
        run(steps, (before, i) => {
          const { probe, vpn } = steps[i] ?? { probe: ok(), vpn: "up" as const };
          const verdict = judge(before, { probe, vpn, now: times[i] ?? 0 }, rules);
          if (probe.outcome === "ok") {
            const seen = steps.slice(0, i + 1);
            expect(verdict.health.reason?.includes("disk") ?? false).toBe(isLowBy(seen));
            expect(verdict.health.reason?.includes("stalled") ?? false).toBe(isStalledBy(seen));
            expect(verdict.health.reason?.includes("VPN") ?? false).toBe(vpn === "down");
          }
          return verdict;
        });
      }),
    );
  });

  it("status and reason stay the same object while they say the same, and are one of few", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const reasons = new Set<string | undefined>();
        run(steps, (before, i) => {
          const { probe, vpn } = steps[i] ?? { probe: ok(), vpn: "up" as const };
          const verdict = judge(before, { probe, vpn, now: 5 * i }, rules);
          const { status, reason } = verdict.health;
          if (status === before.health.status && reason === before.health.reason)
            expect(verdict.health).toBe(before.health);
          expect((status === "online") === (reason === undefined || reason === ANSWERS[1])).toBe(
            true,
          );
          reasons.add(reason);
          return verdict;
        });
        for (const reason of reasons) expect(reason ?? "").not.toMatch(/\d(?! s\b)/);
      }),
    );
  });

  /** The newest figure outside the band decides. */
  function isLowBy(steps: readonly Step[]): boolean {
    const figures = steps.flatMap(({ probe }) =>
      probe.outcome === "ok" && probe.load.freeBytes !== undefined ? [probe.load.freeBytes] : [],
    );
    return (figures.findLast((bytes) => bytes < 100 || bytes >= 125) ?? 100) < 100;
  }

  /** The longest run of idle answers at the end, with single silences among them, is long enough. */
  function isStalledBy(steps: readonly Required<Step>[]): boolean {
    let lastedMs = 0;
    let silences = 0;
    for (const [i, { probe, afterMs }] of [...steps.entries()].reverse()) {
      const isIdle =
        probe.outcome === "ok" &&
        (probe.load.active ?? 0) > 0 &&
        probe.load.downloadBytesPerSecond === 0;
      silences = probe === SILENT ? silences + 1 : 0;
      if ((!isIdle && probe !== SILENT) || silences > 1) return false;
      if (isIdle && lastedMs >= 20) return true;
      if (i > 0) lastedMs += afterMs;
    }
    return false;
  }
});
