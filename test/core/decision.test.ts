import { beforeEach, describe, expect, it } from "vitest";
import { commitService } from "../../src/core/decision.js";
import { register } from "../../src/core/registration.js";
import type { ServiceRecord } from "../../src/core/service.js";
import { Decisions, registerRequest } from "../support/decisions.js";

let decisions: Decisions;
let before: ServiceRecord;
beforeEach(() => {
  decisions = new Decisions();
  before = decisions.run(register(registerRequest(), (secret) => secret, 10)).service;
});

/** Commits another state of the service, and returns what the change log says of it. */
function replace(change: Partial<ServiceRecord>) {
  decisions.at += 1_000;
  const old = before;
  decisions.run((context) => {
    before = { ...old, ...change };
    return { commit: commitService(context, old, before, "re-registered"), outcome: undefined };
  });
  return decisions.commits.at(-1)?.changes.map(({ subject, type }) => `${subject} ${type}`);
}
const entry = () => decisions.catalog.entryOf(before.id);

describe("the entry of a service that changes", () => {
  it.each<[string, Partial<ServiceRecord>]>([
    ["status", { status: "degraded" }],
    ["reason", { statusReason: "disk almost full" }],
    ["user", { username: "someone" }],
    ["key", { apiKey: "another" }],
    ["state of its credentials", { credentialState: "verified" }],
  ])("comes along with another %s", (_, change) => {
    expect(replace(change)).toEqual(["service put", "download-client put"]);
    expect(entry()).toMatchObject({ revision: 2n, createdAt: 1_000, updatedAt: 2_000 });
  });

  it.each<[string, Partial<ServiceRecord>]>([
    ["generation", { generation: 9n, leaseId: "another" }],
    ["sign of life", { lastSeenAt: 9, leaseExpiresAt: 9 }],
    ["TTL", { ttlMs: 60_000 }],
  ])("stays out of a commit in which managers see nothing: another %s", (_, change) => {
    expect(replace(change)).toEqual(["service put"]);
    expect(entry()).toMatchObject({ revision: 1n, updatedAt: 1_000 });
  });

  it("is deleted with it, once, and put when it is back even if it is the same", () => {
    expect(replace({ removed: true })).toEqual(["service delete", "download-client delete"]);
    expect(replace({ removed: true })).toEqual(["service delete"]);
    expect(entry()).toMatchObject({ removed: true, revision: 2n });
    expect(replace({ removed: false })).toEqual(["service put", "download-client put"]);
    expect(entry()).toMatchObject({ removed: false, revision: 4n });
  });

  it("is deleted while the service lives on as another type", () => {
    const spec = { ...before.spec, type: "media-manager" };
    expect(replace({ spec })).toEqual(["service put", "download-client delete"]);
  });
});
