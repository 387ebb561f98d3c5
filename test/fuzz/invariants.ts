import { expect } from "vitest";
import { checkOperatorFields, checkTarget } from "../../src/core/entry-fields.js";
import type { FieldViolation } from "../../src/core/errors.js";
import { checkServiceSpec } from "../../src/core/service-spec.js";
import type { StoredRegistry } from "../../src/store/store.js";

/**
 * Holds that no half of anything was stored: each record passes the checks that it came
 * through, as a whole, and what belongs together is there together.
 */
export function expectWholeRecords({ services, entries, revision, tokens }: StoredRegistry): void {
  const byId = new Map(services.map((service) => [service.id, service]));
  expect(byId.size).toBe(services.length);
  expect(new Set(services.map(({ instanceId }) => instanceId)).size).toBe(services.length);
  expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
  for (const service of services) {
    expect(checkServiceSpec(service.spec)).toEqual(service.spec);
    expect(service.revision).toBeLessThanOrEqual(revision);
    expect(service.generation).toBeGreaterThan(0n);
    expect(service.ttlMs).toBeGreaterThanOrEqual(5_000);
    expect(service.ttlMs).toBeLessThanOrEqual(300_000);
    if (service.removed) expect([service.username, service.apiKey]).toEqual(["", ""]);
    if (service.spec.type === "download-client" && !service.removed)
      expect(entries.filter(({ origin }) => serviceOf(origin) === service.id)).toHaveLength(1);
  }
  for (const entry of entries) {
    const violations: FieldViolation[] = [];
    checkOperatorFields(violations, "entry", entry);
    if (entry.origin.source === "manual") checkTarget(violations, "entry", entry.origin.target);
    else expect(byId.has(entry.origin.serviceId)).toBe(true);
    expect(violations).toEqual([]);
  }
  for (const { scopes, hash } of tokens) {
    expect(scopes.length).toBeGreaterThan(0);
    expect(hash).toMatch(/^[\w-]{43}$/);
  }
}

function serviceOf(origin: StoredRegistry["entries"][number]["origin"]): string | undefined {
  return origin.source === "auto" ? origin.serviceId : undefined;
}
