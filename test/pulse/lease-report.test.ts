import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { readLeaseReport, writeLeaseReport } from "../../src/pulse/lease-report.js";
import type { LiveLease } from "../../src/pulse/live-lease.js";
import { serviceRecord } from "../store/sample-records.js";
import { RecordingStream } from "../support/fleet.js";

function lease(n: number, change: Partial<LiveLease> = {}): LiveLease {
  return {
    record: serviceRecord({ id: `s${n}`, leaseId: `lease-${n}` }),
    link: { name: "none" },
    expiresAt: 0,
    lastSeenAt: 1_000,
    credited: false,
    reported: { status: "online", reason: "" },
    load: undefined,
    verifiedAt: undefined,
    isChanging: false,
    ...change,
  };
}
const held = (n: number, change: Partial<LiveLease> = {}) =>
  lease(n, { link: { name: "attached", stream: new RecordingStream(), hold: "held" }, ...change });
const lookUp =
  (...leases: LiveLease[]) =>
  (id: string) =>
    leases.find(({ record }) => record.leaseId === id);

it("another node learns load and last signs of life of what it does not hold itself", () => {
  const load = create(LoadSchema, { freeBytes: 2n ** 60n, active: 0 });
  const report = writeLeaseReport([
    held(1, { lastSeenAt: 5_000.4, load }),
    held(2, { lastSeenAt: 6_000 }),
  ]);
  const [one, two, own] = [lease(1), lease(2, { load }), held(2)];
  readLeaseReport(report, lookUp(one, two));
  expect(one).toMatchObject({ lastSeenAt: 5_000, load });
  expect(two).toMatchObject({ lastSeenAt: 6_000, load });
  readLeaseReport(report, lookUp(own));
  expect(own).toEqual(held(2));
});

it("another node learns when credentials were last accepted, the newest that anybody knows", () => {
  const load = create(LoadSchema, { active: 2 });
  const report = writeLeaseReport([
    held(1, { load, verifiedAt: 5_000.4 }),
    held(2, { verifiedAt: 6_000 }),
    held(3, { load }),
  ]);
  const own = held(2, { verifiedAt: 7_000 });
  const [one, two, three] = [lease(1), lease(2, { verifiedAt: 7_000 }), lease(3)];
  readLeaseReport(report, lookUp(one, two, three));
  expect(one).toMatchObject({ load, verifiedAt: 5_000 });
  expect(two).toMatchObject({ verifiedAt: 7_000 });
  expect(three).toMatchObject({ load, verifiedAt: undefined });
  readLeaseReport(report, lookUp(own));
  expect(own.verifiedAt).toBe(7_000);
});

it("a node tells of those alone whose streams it has", () => {
  const lost = held(2, {});
  lost.link = { name: "attached", stream: new RecordingStream(), hold: "lost" };
  expect(JSON.parse(writeLeaseReport([lease(1), lost, held(3)]))).toEqual([["lease-3", 1_000]]);
});

it("a report that is older than what is known takes nothing back", () => {
  const one = lease(1, { lastSeenAt: 9_000 });
  readLeaseReport(writeLeaseReport([held(1)]), lookUp(one));
  expect(one.lastSeenAt).toBe(9_000);
});

it("leases that are not known, and fields of a newer release, are passed over", () => {
  const one = lease(1);
  const report = [
    ["nobody's", 1],
    ["lease-1", 7_000, { active: 3, temperature: 40 }, 6_000, "more"],
  ];
  readLeaseReport(JSON.stringify(report), lookUp(one));
  expect(one).toMatchObject({ lastSeenAt: 7_000, load: { active: 3 }, verifiedAt: 6_000 });
});
