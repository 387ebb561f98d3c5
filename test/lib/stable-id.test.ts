import { expect, it } from "vitest";
import { stableId } from "../../src/lib/stable-id.js";

it("is the same for the same text, in every release", () => {
  expect(stableId("haul-instance")).toBe("5a49c537-5ac1-89d6-9869-00069c4dfd2a");
});

it("is a UUID of version 8, and another for each text", () => {
  const ids = Array.from({ length: 1_000 }, (_, n) => stableId(`instance-${n}`));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
