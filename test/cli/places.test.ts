import { dirname, resolve } from "node:path";
import { expect, test } from "vitest";
import { haulStateDirectory, pulseDataDirectory } from "../../src/cli/places.js";

test("Pulse's data directory is the given one, made absolute", () => {
  expect(pulseDataDirectory("data", { XDG_STATE_HOME: "/state" })).toBe(resolve("data"));
});

test("else it is below XDG_STATE_HOME, else below the home directory", () => {
  expect(pulseDataDirectory(undefined, { XDG_STATE_HOME: "/state", HOME: "/home/me" })).toBe(
    "/state/pulse",
  );
  expect(pulseDataDirectory(undefined, { HOME: "/home/me" })).toBe("/home/me/.local/state/pulse");
});

test("a relative XDG_STATE_HOME is ignored", () => {
  expect(pulseDataDirectory(undefined, { XDG_STATE_HOME: "state", HOME: "/home/me" })).toBe(
    "/home/me/.local/state/pulse",
  );
});

test("Hauls of different names have different directories", () => {
  const env = { XDG_STATE_HOME: "/state" };
  expect(haulStateDirectory(undefined, "haul", env)).toBe("/state/haul/haul");
  expect(haulStateDirectory(undefined, "nas 2", env)).toBe("/state/haul/nas%202");
  expect(haulStateDirectory("/srv/haul", "haul", env)).toBe("/srv/haul");
});

test.each(["..", ".", "../../etc", "a/../../b"])(
  "the name %j stays one folder below haul",
  (name) => {
    const directory = haulStateDirectory(undefined, name, { XDG_STATE_HOME: "/state" });
    expect(dirname(directory)).toBe("/state/haul");
  },
);
