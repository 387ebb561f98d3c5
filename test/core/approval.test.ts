import { beforeEach, describe, expect, it } from "vitest";
import { approve } from "../../src/core/approval.js";
import { isVisible } from "../../src/core/entry.js";
import { traitsOfService } from "../../src/core/filter.js";
import { deregister, type RegisterRequest, register } from "../../src/core/registration.js";
import type { RawServiceSpec } from "../../src/core/service-spec.js";
import { shownReason, shownStatus } from "../../src/core/shown-status.js";
import { transition } from "../../src/core/transition.js";
import { Decisions, hashOf, refusalOf, registerRequest } from "../support/decisions.js";

type Change = Partial<RegisterRequest> & { readonly raw?: Partial<RawServiceSpec> };

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

function doRegister(change: Change = {}, requireApproval = true) {
  const rules = { maxServices: 100, requireApproval };
  return decisions.run(register(registerRequest(change), hashOf, rules)).service;
}
const doApprove = (id: string) => decisions.run(approve(id, "op"));
const remove = () =>
  decisions.run(deregister({ instanceId: "instance-1", secretHash: undefined, isAdmin: true }));

describe("a service that waits for approval", () => {
  it("is shown as pending, with what to do, and its entry is hidden", () => {
    const service = doRegister({ apiKey: "key" });
    expect(service.approved).toBe(false);
    expect(shownStatus(service)).toBe("pending");
    expect(shownReason(service)).toBe(`waits for approval: pulse services approve ${service.id}`);
    expect(traitsOfService(service).status).toBe("pending");
    expect(decisions.changes()).toEqual(["service put"]);
    expect(decisions.commits[0]?.changes[0]?.detail).toBe("pending, online");
    const [entry] = decisions.catalog.hiddenEntries();
    expect(entry && isVisible(entry)).toBe(false);
    expect(entry?.facts).toMatchObject({
      availability: "offline",
      availabilityReason: shownReason(service),
    });
  });

  it("goes on waiting whatever it registers, also when approval is not required any more", () => {
    doRegister();
    expect(doRegister().approved).toBe(false);
    expect(doRegister({ raw: { version: "5" } }, false).approved).toBe(false);
  });

  it("is still pending when it turns OFFLINE", () => {
    const { id, leaseId } = doRegister();
    const presence = {
      lastSeenAt: 0,
      leaseExpiresAt: 0,
      leaseCredited: false,
      verifiedAt: undefined,
    };
    decisions.run(
      transition({
        serviceId: id,
        leaseId,
        presence,
        status: "offline",
        statusReason: "expired",
        saidOffline: false,
        reason: "expired",
        endsLease: true,
      }),
    );
    const service = decisions.catalog.service(id);
    expect(service && [service.status, shownStatus(service)]).toEqual(["offline", "pending"]);
    expect(decisions.changes()).toEqual(["service put"]);
  });
});

describe("an approval", () => {
  it("shows service and entry in one commit, with who did it", () => {
    const { id } = doRegister();
    const { service, revision } = doApprove(id);
    expect([shownStatus(service), shownReason(service)]).toEqual(["online", "registered"]);
    expect(revision).toBe(2n);
    expect(decisions.commits[1]).toMatchObject({ revision: 2n, reason: "approved by op" });
    expect(decisions.changes()).toEqual(["service put", "download-client put"]);
    expect(decisions.entryNames()).toEqual(["haul"]);
  });

  it("again changes nothing, and of nobody is refused", () => {
    const { id } = doRegister();
    doApprove(id);
    expect(doApprove(id).revision).toBe(2n);
    expect(decisions.commits).toHaveLength(2);
    expect(refusalOf(() => doApprove("nobody")).kind).toBe("not-found");
    remove();
    expect(refusalOf(() => doApprove(id)).kind).toBe("not-found");
  });

  it("holds for all that a pinned instance registers later, until it is removed", () => {
    const { id } = doRegister();
    doApprove(id);
    const raw = { kind: "deluge", apiUrl: "https://elsewhere:1", type: "download-client" };
    expect(doRegister({ raw }).approved).toBe(true);
    remove();
    expect(doRegister({ raw }).approved).toBe(false);
  });

  it("is not needed by those of before it was required, and not given by its end", () => {
    const old = doRegister({}, false);
    expect(old.approved).toBe(true);
    expect(doRegister().approved).toBe(true);
    doRegister({ instanceId: "i2", secretHash: "h2" });
    expect(doRegister({ instanceId: "i2", secretHash: "h2" }, false).approved).toBe(false);
    expect(doRegister({ instanceId: "i3", secretHash: "h3" }, false).approved).toBe(true);
  });

  describe("of an identity without a secret", () => {
    const unpinned = { instanceId: "", secretHash: undefined };

    it.each([
      ["path", { apiUrl: "http://nas:8080/x" }],
      ["version", { version: "5" }],
    ])("holds at another %s", (_, raw) => {
      doApprove(doRegister(unpinned).id);
      expect(doRegister({ ...unpinned, raw }).approved).toBe(true);
    });

    it.each([
      ["host", { apiUrl: "http://evil:8080" }],
      ["port", { apiUrl: "http://nas:1" }],
      ["scheme", { apiUrl: "https://nas:8080" }],
      ["kind", { kind: "deluge" }],
    ])("ends with another %s, and its entry goes", (_, raw) => {
      doApprove(doRegister(unpinned).id);
      expect(doRegister({ ...unpinned, raw }).approved).toBe(false);
      expect(decisions.changes()).toEqual(["service put", "download-client delete"]);
    });

    it("ends when it gets a secret, and holds at any address if approval is not required", () => {
      const { id, instanceId, leaseId } = doRegister(unpinned);
      doApprove(id);
      const pinned = { instanceId, secretHash: "hash", heldLeaseId: leaseId };
      expect(doRegister(pinned).approved).toBe(false);
      decisions = new Decisions();
      doRegister(unpinned, false);
      expect(doRegister({ ...unpinned, raw: { apiUrl: "http://b:1" } }, false).approved).toBe(true);
    });
  });
});
