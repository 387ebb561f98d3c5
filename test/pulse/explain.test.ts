import { beforeEach, describe, expect, it } from "vitest";
import { TimelineSubject } from "../../gen/pulse/v1/registry_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import { updateEntry } from "../../src/core/entry-command.js";
import { DomainError } from "../../src/core/errors.js";
import { deregister } from "../../src/core/registration.js";
import { timestampOf } from "../../src/pulse/convert.js";
import { explain } from "../../src/pulse/explain.js";
import { Fleet, RecordingStream } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start({}, { history: { maxCommits: 2_000 } });
});

function explained(id: string) {
  const { registry, history, leases } = fleet;
  return explain(id, { catalog: registry.catalog, history, leases });
}

/** `@2 SERVICE PUT goodbye (offline)` */
function lines(id: string): string[] {
  return (explained(id).timeline ?? []).map(
    ({ revision, subject, type, reason, detail }) =>
      `@${revision} ${TimelineSubject[subject ?? 0]} ${ChangeType[type ?? 0]} ${reason} (${detail})`,
  );
}

async function edit(fields: { priority: number }): Promise<void> {
  const id = fleet.registry.catalog.entryNamed("haul")?.id ?? "";
  const patch = { fields, target: {}, overrides: {} };
  const done = fleet.registry.run(
    updateEntry({ id, etag: "", patch, paths: ["priority"], by: "ops" }),
  );
  await settle();
  await done;
}

async function leave(n: number): Promise<void> {
  const removal = { instanceId: `i${n}`, secretHash: `h${n}`, isAdmin: false };
  const done = fleet.registry.run(deregister(removal));
  await settle();
  await done;
}

it("a service's timeline is its own changes and those of its entry, each with its reason", async () => {
  const { id, leaseId } = await fleet.register(1);
  await fleet.register(2);
  fleet.heartbeat(leaseId, new RecordingStream(), "degraded", "disk full");
  await settle();
  await edit({ priority: 7 });
  await fleet.clock.advance(16_000);
  await fleet.register(1);
  const expected = [
    "@1 SERVICE PUT registered (online)",
    "@1 DOWNLOAD_CLIENT PUT registered ()",
    "@3 SERVICE PUT status reported (degraded: disk full)",
    "@3 DOWNLOAD_CLIENT PUT status reported ()",
    "@4 DOWNLOAD_CLIENT PUT edited by ops (priority)",
  ];
  expect(lines(id).slice(0, 5)).toEqual(expected);
  expect(lines("i1")).toEqual(lines(id));
  expect(lines(id).slice(5)).toEqual([
    expect.stringMatching(/^@[56] SERVICE PUT expired \(offline\)$/),
    expect.stringMatching(/^@[56] DOWNLOAD_CLIENT PUT expired \(\)$/),
    "@7 SERVICE PUT re-registered (online)",
    "@7 DOWNLOAD_CLIENT PUT re-registered ()",
  ]);
  expect(explained(id)).toMatchObject({ truncated: false, service: { id, generation: 2n } });
});

it("times are those of the commits, and the service is as of now", async () => {
  const registeredAt = fleet.clock.wallNow();
  const { id, leaseId } = await fleet.register(1);
  await fleet.clock.advance(5_000);
  fleet.heartbeat(leaseId);
  const { timeline, service } = explained(id);
  expect(timeline?.[0]?.time).toEqual(timestampOf(registeredAt));
  expect(service?.lastSeenTime).toEqual(timestampOf(fleet.clock.wallNow()));
});

it("of a service that was removed only its timeline is left", async () => {
  const { id } = await fleet.register(1);
  await leave(1);
  expect(explained(id).service).toBeUndefined();
  expect(lines(id).slice(2)).toEqual([
    "@2 SERVICE DELETE deregistered (offline)",
    "@2 DOWNLOAD_CLIENT DELETE deregistered ()",
  ]);
});

it("no word of it is a secret", async () => {
  const { id } = await fleet.register(1, { username: "planted-user", apiKey: "planted-key" });
  const text = JSON.stringify(explained(id), (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  for (const secret of ["planted", "h1", fleet.registry.catalog.service(id)?.leaseId ?? "?"])
    expect(text).not.toContain(secret);
});

describe("a timeline that does not begin with the first Register says that something is missing", () => {
  it("because it was compacted", async () => {
    const { id } = await fleet.register(1);
    await edit({ priority: 7 });
    await fleet.clock.advance(1_000);
    expect(explained(id).truncated).toBe(false);
    fleet.history.prune(fleet.clock.wallNow() + 48 * 3_600_000);
    expect(explained(id)).toMatchObject({ timeline: [], truncated: true });
    await edit({ priority: 8 });
    expect(lines(id)).toHaveLength(1);
    expect(explained(id).truncated).toBe(true);
  });

  it("because it was registered for a second time after that", async () => {
    const { id } = await fleet.register(1);
    await leave(1);
    fleet.history.prune(fleet.clock.wallNow() + 48 * 3_600_000);
    await fleet.clock.advance(1_000);
    await fleet.register(1);
    expect(lines(id)[0]).toBe("@3 SERVICE PUT registered (online)");
    expect(explained(id).truncated).toBe(true);
  });

  it("because it is longer than 1,000, of which the newest are told", async () => {
    const { id } = await fleet.register(1);
    for (let i = 0; i < 998; i++) await edit({ priority: 1 + (i % 100) });
    expect(explained(id)).toMatchObject({ truncated: false });
    expect(lines(id)).toHaveLength(1_000);
    await edit({ priority: 100 });
    expect(lines(id)).toHaveLength(1_000);
    expect(lines(id)[0]).toBe("@1 DOWNLOAD_CLIENT PUT registered ()");
    expect(explained(id).truncated).toBe(true);
  });
});

it("it is there after a restart, as far as the store has kept it", async () => {
  const { id } = await fleet.register(1);
  await edit({ priority: 7 });
  const before = lines(id);
  await fleet.restart("stop", 1_000);
  expect(lines(id)).toEqual(before);
  expect(explained(id).truncated).toBe(false);
});

it.each(["", "nobody"])("nothing is known of the id %j", (id) => {
  const refusal = () => {
    try {
      return explained(id);
    } catch (error) {
      return error instanceof DomainError ? error.refusal : error;
    }
  };
  expect(refusal()).toMatchObject(
    id === ""
      ? { kind: "invalid", violations: [{ field: "id" }] }
      : { kind: "not-found", resource: "service", id },
  );
});

describe("by name", () => {
  it("a service is found, by its own or its entry's, also when it is removed", async () => {
    const { id } = await fleet.register(1);
    const other = await fleet.register(2, {
      spec: { ...(await fleet.register(1)).spec, name: "other" },
    });
    expect(explained("other").service?.id).toBe(other.id);
    await leave(1);
    expect(explained("haul").service).toBeUndefined();
    expect(lines("haul")).toEqual(lines(id));
  });

  it("one that several have is refused, and their ids are told", async () => {
    const ids = [(await fleet.register(1)).id, (await fleet.register(2)).id];
    expect(() => explained("haul")).toThrow(
      `id: is the name of several services: give one of ${ids.join(", ")}`,
    );
    expect(explained("haul-2").service?.id).toBe(ids[1]);
  });
});
