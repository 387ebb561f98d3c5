import { beforeEach, describe, expect, it } from "vitest";
import type { Command } from "../../src/core/decision.js";
import { newOperatorFields } from "../../src/core/entry.js";
import { createEntry, deleteEntry, noteTest, updateEntry } from "../../src/core/entry-command.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { deregister, type RegisterRequest } from "../../src/core/registration.js";
import { Fleet, RecordingStream } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

const resolved = (id: string) => {
  const found = fleet.registry.catalog.resolvedEntry(id);
  if (!found) throw new Error(`there is no entry ${id}`);
  return found;
};
const verifiedAt = (id: string) => fleet.signs.of(resolved(id)).verifiedAt;
const now = () => fleet.clock.wallNow();

async function run<Outcome>(command: Command<Outcome>): Promise<Outcome> {
  const outcome = fleet.registry.run(command);
  await settle();
  return outcome;
}

const LOGIN = { username: "u", apiKey: "k" } as const;

/** Registers a download client, and returns its lease and the id of its entry. */
async function registered(change: Partial<RegisterRequest> = {}) {
  const { id, leaseId } = await fleet.register(1, { ...LOGIN, ...change });
  return { leaseId, id: fleet.registry.catalog.entryOf(id)?.id ?? "" };
}
const verify = (leaseId: string, stream = new RecordingStream()) =>
  fleet.report({ leaseId, isVerified: true }, stream);

function edit(id: string, overrides: { readonly password?: string; readonly host?: string }) {
  const paths = Object.keys(overrides).map((field) => `overrides.${field}`);
  const patch = { fields: {}, target: {}, overrides };
  return run(updateEntry({ id, etag: "", patch, paths, by: "ops" }));
}

describe("when the credentials of a service were last accepted", () => {
  it("is unknown until it says so, by Register or by heartbeat, the newest counts", async () => {
    const { id, leaseId } = await registered();
    expect(verifiedAt(id)).toBeUndefined();
    verify(leaseId);
    expect(verifiedAt(id)).toBe(now());
    await fleet.clock.advance(5_000);
    fleet.heartbeat(leaseId);
    expect(verifiedAt(id)).toBe(now() - 5_000);
    await registered({ credentialState: "verified" });
    expect(verifiedAt(id)).toBe(now());
  });

  it("is no change by a heartbeat, and is written with the next flush and the next commit", async () => {
    const { id, leaseId } = await registered({ credentialState: "verified" });
    await fleet.clock.advance(1_000);
    const stream = new RecordingStream();
    verify(leaseId, stream);
    const at = now();
    await fleet.clock.advance(5_000);
    expect(fleet.reasons()).toEqual(["registered"]);
    const stored = async () => (await fleet.store.load()).services[0]?.verifiedAt;
    expect(await stored()).toBe(at);
    verify(leaseId, stream);
    fleet.heartbeat(leaseId, stream, "degraded", "disk almost full");
    await settle();
    expect(await stored()).toBe(now());
    await fleet.restart("kill", 1_000);
    expect(verifiedAt(id)).toBe(at + 5_000);
  });

  it("goes on through a Register of the same credentials, also once the lease is over", async () => {
    const { id, leaseId } = await registered();
    verify(leaseId);
    const at = now();
    await fleet.clock.advance(1_000);
    await registered();
    expect(verifiedAt(id)).toBe(at);
    expect((await fleet.store.load()).services[0]?.verifiedAt).toBe(at);
    await fleet.clock.advance(20_000);
    expect(fleet.status(1)).toBe("offline: expired");
    expect(verifiedAt(id)).toBe(at);
    await registered();
    expect(verifiedAt(id)).toBe(at);
  });

  it.each<[string, Partial<RegisterRequest>]>([
    ["others", { apiKey: "other" }],
    ["none", { username: "", apiKey: "" }],
    ["rejected ones", { credentialState: "rejected" }],
  ])("is unknown of %s", async (_, change) => {
    const { id } = await registered({ credentialState: "verified" });
    const { leaseId } = await registered(change);
    expect(verifiedAt(id)).toBeUndefined();
    expect(fleet.leases.byId(leaseId)?.verifiedAt).toBeUndefined();
  });

  it("is not now for a service that says in the same Register that its client does not answer", async () => {
    const { id } = await registered({ credentialState: "verified" });
    const at = now();
    await fleet.clock.advance(1_000);
    await registered({ credentialState: "verified", status: "offline" });
    expect(verifiedAt(id)).toBe(at);
  });

  it("is not said by a heartbeat of rejected ones, which a Register has to mend", async () => {
    const { id, leaseId } = await registered({ credentialState: "rejected" });
    verify(leaseId);
    expect(verifiedAt(id)).toBeUndefined();
  });

  it("is unknown once it is removed, and when it comes back without saying so", async () => {
    const { id } = await registered({ credentialState: "verified" });
    await run(deregister({ instanceId: "i1", secretHash: "h1", isAdmin: false }));
    expect(verifiedAt(id)).toBeUndefined();
    await registered();
    expect(verifiedAt(id)).toBeUndefined();
  });

  it("is nothing to an entry with a login of its operator's", async () => {
    const { id, leaseId } = await registered({ credentialState: "verified" });
    await edit(id, { password: "own" });
    verify(leaseId);
    expect(verifiedAt(id)).toBeUndefined();
    await run(noteTest(resolved(id), "verified", "ops"));
    expect(verifiedAt(id)).toBe(now());
    expect((await fleet.store.load()).entries[0]?.verifiedAt).toBe(now());
  });
});

describe("a test that finds credentials accepted", () => {
  it("counts until the login is another, without a change", async () => {
    const { id } = await registered();
    fleet.signs.accepted(resolved(id));
    const at = now();
    await fleet.clock.advance(1_000);
    expect(verifiedAt(id)).toBe(at);
    await registered({ status: "degraded" });
    expect(verifiedAt(id)).toBe(at);
    await registered({ apiKey: "other" });
    await registered(); // as it was: nobody has tried it since
    expect(verifiedAt(id)).toBeUndefined();
    expect(fleet.reasons().every((reason) => /registered$/.test(reason))).toBe(true);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ["another address", (id) => edit(id, { host: "router" })],
    ["another password", (id) => edit(id, { password: "own" })],
    ["rejected credentials", () => registered({ credentialState: "rejected" })],
    ["nothing", () => run(deregister({ instanceId: "i1", secretHash: "h1", isAdmin: false }))],
  ])("says nothing of an entry that has %s by its end, or after it", async (_, change) => {
    const { id } = await registered();
    const before = resolved(id);
    fleet.signs.accepted(before);
    await change(id);
    expect(verifiedAt(id)).toBeUndefined();
    fleet.signs.accepted(before);
    expect(verifiedAt(id)).toBeUndefined();
  });

  it("counts again for an operator's that was known to be good", async () => {
    const target = { kind: "deluge", host: "nas", port: 1, useSsl: false, urlBase: "" } as const;
    const login = { username: "", password: "k", protocol: undefined };
    const fields = newOperatorFields("mine");
    const made = await run(
      createEntry({ fields, target: { ...target, ...login, ...NO_FILE_PLACES } }, "ops"),
    );
    const { id } = made.resolved.entry;
    await run(noteTest(resolved(id), "verified", "ops"));
    const etag = resolved(id).entry.revision;
    await fleet.clock.advance(1_000);
    fleet.signs.accepted(resolved(id));
    expect(verifiedAt(id)).toBe(now());
    expect(resolved(id).entry.revision).toBe(etag);
    await run(noteTest(resolved(id), "rejected", "ops"));
    expect(verifiedAt(id)).toBeUndefined();
    fleet.signs.accepted(made.resolved);
    await run(deleteEntry(id, "", "ops"));
    fleet.signs.accepted(made.resolved); // of an entry that is gone
  });
});
