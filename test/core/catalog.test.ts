import { describe, expect, it } from "vitest";
import { register } from "../../src/core/registration.js";
import { Decisions, registerRequest } from "../support/decisions.js";

describe("a draft", () => {
  const hash = (secret: string) => secret;

  it("shows the base and what was put into it, and leaves the base alone", () => {
    const decisions = new Decisions();
    decisions.run(register(registerRequest(), hash, 10));
    const draft = decisions.catalog.draft();
    const { commit } = register(
      registerRequest({ instanceId: "i2", secretHash: "h2" }),
      hash,
      10,
    )({
      catalog: draft,
      revision: 2n,
      at: 0,
      registryNow: 0,
      newId: () => `draft-${Math.random()}`,
      newSecret: () => "s",
    });
    if (!commit) throw new Error("nothing to commit");
    draft.apply({ ...commit, stamp: "draft" });
    expect(draft.serviceByInstance("instance-1")).toBeDefined();
    expect(draft.serviceByInstance("i2")).toBeDefined();
    expect(draft.isEntryNameTaken("haul-2")).toBe(true);
    expect([draft.revision, draft.serviceCount]).toEqual([2n, 2]);
    expect(decisions.catalog.serviceByInstance("i2")).toBeUndefined();
    expect(decisions.catalog.isEntryNameTaken("haul-2")).toBe(false);
    expect([decisions.catalog.revision, decisions.catalog.serviceCount]).toEqual([1n, 1]);
  });
});
