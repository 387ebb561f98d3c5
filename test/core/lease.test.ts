import { describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import {
  checkTtl,
  grantFor,
  leaseIdOf,
  lostReason,
  parseLeaseId,
  DEFAULT_LEASE_POLICY as policy,
} from "../../src/core/lease.js";

describe("a TTL", () => {
  it("is 15 s if none is asked for", () => expect(checkTtl(undefined, policy)).toBe(15_000));

  it.each([5_000, 20_000, 300_000])("of %i ms is granted as asked", (ttlMs) =>
    expect(checkTtl(ttlMs, policy)).toBe(ttlMs),
  );

  it.each([4_999, 0, -1, 300_001, Number.MAX_SAFE_INTEGER])("of %i ms is refused", (ttlMs) => {
    expect(() => checkTtl(ttlMs, policy)).toThrow(DomainError);
    expect(() => checkTtl(ttlMs, policy)).toThrow(/requested_ttl: must be from 5 s to 300 s/);
  });
});

describe("a grant", () => {
  it("asks for three heartbeats in a TTL in a small fleet", () => {
    expect(grantFor(15_000, 100, policy)).toEqual({ ttlMs: 15_000, heartbeatIntervalMs: 5_000 });
  });

  it.each([5_000, 7_000, 10_000, 20_000, 40_001, 300_000])(
    "gives a TTL of %i ms as asked, whether it has a whole third or not",
    (ttlMs) => {
      const grant = grantFor(ttlMs, 100, policy);
      expect(grant).toEqual({ ttlMs, heartbeatIntervalMs: Math.floor(ttlMs / 3) });
    },
  );

  it.each([1, 29_999, 30_001, 50_001, 100_003])(
    "has room for three heartbeats in a TTL, and keeps a fleet of %i under the rate",
    (fleetSize) => {
      for (const askedMs of [5_000, 15_000, 20_000]) {
        const { ttlMs, heartbeatIntervalMs } = grantFor(askedMs, fleetSize, policy);
        expect(ttlMs).toBeGreaterThanOrEqual(heartbeatIntervalMs * 3);
        expect(fleetSize / (heartbeatIntervalMs / 1_000)).toBeLessThanOrEqual(2_000);
      }
    },
  );

  it("lengthens interval and TTL so that a large fleet stays under the rate", () => {
    const grant = grantFor(15_000, 40_000, policy);
    expect(grant).toEqual({ ttlMs: 60_000, heartbeatIntervalMs: 20_000 });
    expect(40_000 / (grant.heartbeatIntervalMs / 1_000)).toBeLessThanOrEqual(2_000);
  });
});

describe("a lost lease", () => {
  const service = (generation: bigint, removed = false) => ({
    generation,
    removed,
    leaseId: leaseIdOf("service-1", generation, "secret"),
  });
  const reason = (leaseId: string, known?: ReturnType<typeof service>) =>
    lostReason(leaseId, (id) => (id === "service-1" ? known : undefined));

  it("is superseded if its generation is older", () =>
    expect(reason(service(2n).leaseId, service(3n))).toBe("superseded"));
  it("is expired if it is the service's own", () =>
    expect(reason(service(3n).leaseId, service(3n))).toBe("expired"));
  it("is deregistered if the service is gone", () =>
    expect(reason(service(3n).leaseId, service(3n, true))).toBe("deregistered"));
  it("is superseded, not deregistered, if it was old before the service went", () =>
    expect(reason(service(2n).leaseId, service(3n, true))).toBe("superseded"));
  it("is unknown if a restored store never gave it", () =>
    expect(reason(service(4n).leaseId, service(3n))).toBe("unknown"));
  it("is unknown if only its random part is wrong", () =>
    expect(reason(leaseIdOf("service-1", 3n, "guess"), service(3n))).toBe("unknown"));
  it("is unknown to a store without the service", () =>
    expect(reason(service(3n).leaseId, undefined)).toBe("unknown"));
  it.each(["", "x", "a.b.c", "a.1", "..", `a.${"9".repeat(20)}.c`, "a.1.c.d", "é.1.c"])(
    "is unknown if it is no lease id at all: %j",
    (leaseId) => {
      expect(parseLeaseId(leaseId)).toBeUndefined();
      expect(reason(leaseId, service(1n))).toBe("unknown");
    },
  );
});
