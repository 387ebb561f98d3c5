import { beforeEach, describe, expect, it } from "vitest";
import { register } from "../../src/core/registration.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { type TransitionRequest, transition } from "../../src/core/transition.js";
import { Decisions, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
let service: ServiceRecord;
beforeEach(() => {
  decisions = new Decisions();
  ({ service } = decisions.run(
    register(registerRequest(), (secret) => secret, { maxServices: 10 }),
  ));
});

const presence = {
  lastSeenAt: 2_000,
  leaseExpiresAt: 17_000,
  leaseCredited: true,
  verifiedAt: 1_500,
};

function move(change: Partial<TransitionRequest>): boolean {
  return decisions.run(
    transition({
      serviceId: service.id,
      leaseId: service.leaseId,
      presence,
      status: "online",
      statusReason: "registered",
      saidOffline: false,
      reason: "status reported",
      endsLease: false,
      ...change,
    }),
  );
}
const now = () => decisions.catalog.service(service.id);

describe("a status transition", () => {
  it("writes the newest signs of life, and leaves the lease alone", () => {
    expect(move({ status: "degraded", statusReason: "stalled" })).toBe(true);
    expect(now()).toEqual({
      ...service,
      ...presence,
      status: "degraded",
      statusReason: "stalled",
      revision: 2n,
    });
  });

  it("asks at the last moment, and is told where the lease stands", () => {
    const asked: unknown[] = [];
    const holding = {
      leaseId: service.leaseId,
      nodeId: "node-a",
      lapsesAt: 15_000,
      leaseExpiresAt: 15_000,
      lastSeenAt: 0,
    };
    const isStillDue = (given: unknown) => {
      asked.push(given);
      return false;
    };
    expect(move({ status: "offline", isStillDue })).toBe(false);
    decisions.holdings.set(service.id, holding);
    expect(move({ status: "offline", isStillDue })).toBe(false);
    expect(asked).toEqual([undefined, holding]);
    expect(decisions.commits).toHaveLength(1);
  });

  it("to where the service is already is no commit", () => {
    expect(move({})).toBe(true);
    expect(decisions.commits).toHaveLength(1);
  });

  it("to where the service is already is one all the same if it ends the lease", () => {
    expect(move({ endsLease: true })).toBe(true);
    expect(now()).toMatchObject({ leaseActive: false, leaseId: service.leaseId, revision: 2n });
    expect(decisions.commits.at(-1)?.entries).toEqual([]);
  });

  it("comes too late for a lease that has ended", () => {
    move({ status: "offline", statusReason: "goodbye", endsLease: true });
    expect(move({ status: "online", statusReason: "returned" })).toBe(false);
    expect(now()?.statusReason).toBe("goodbye");
  });

  it("of a service that is not there changes nothing", () => {
    expect(move({ serviceId: "nobody", status: "offline" })).toBe(false);
    expect(decisions.commits).toHaveLength(1);
  });
});
