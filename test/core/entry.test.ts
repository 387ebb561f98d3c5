import { expect, it } from "vitest";
import { freeEntryName } from "../../src/core/entry.js";

it("an entry's name is the service's, or has the lowest free number from 2 on", () => {
  const taken = new Set(["haul", "haul-2", "haul-4", "solo-2"]);
  const isTaken = (name: string) => taken.has(name);
  expect(freeEntryName("free", isTaken)).toBe("free");
  expect(freeEntryName("solo", isTaken)).toBe("solo");
  expect(freeEntryName("haul", isTaken)).toBe("haul-3");
});
