import { expect, it } from "vitest";
import { described } from "../../src/client/description.js";
import type { ServiceCredentials } from "../../src/client/index.js";

const service = { name: "haul", type: "download-client" };
const before = {
  service,
  credentials: { username: "me", apiKey: "old", state: "verified" },
} as const;

const credentialsAfter = (credentials: ServiceCredentials) =>
  described(before, { credentials }).credentials;

it("a change of a part leaves the rest as it was", () => {
  const other = { name: "other", type: "download-client" };
  expect(described(before, { service: other })).toEqual({ ...before, service: other });
  expect(described(before, {})).toEqual(before);
  expect(credentialsAfter({})).toEqual(before.credentials);
});

it("credentials change field by field: the user name is said again beside a new API key", () => {
  const after = described(before, { credentials: { apiKey: "new", state: "verified" } });
  expect(after.credentials).toEqual({ username: "me", apiKey: "new", state: "verified" });
  expect(credentialsAfter({ username: "" })).toMatchObject({ username: "", apiKey: "old" });
  expect(credentialsAfter({ state: "rejected" })).toMatchObject({
    apiKey: "old",
    state: "rejected",
  });
});

it("what was true of other credentials is not said of the new ones", () => {
  expect(credentialsAfter({ apiKey: "new" })).toEqual({ username: "me", apiKey: "new" });
  expect(credentialsAfter({ username: "other" })).toEqual({ username: "other", apiKey: "old" });
  expect(credentialsAfter({ apiKey: "old" })).toEqual(before.credentials);
});

it("two changes of which Pulse has heard neither come to both", () => {
  const rotated = described(before, { credentials: { apiKey: "new" } });
  const tried = described(rotated, { credentials: { state: "verified" } });
  expect(tried.credentials).toEqual({ username: "me", apiKey: "new", state: "verified" });
});

it("what was never said is left to Pulse", () => {
  const silent = { service, credentials: undefined };
  expect(described(silent, { service })).toEqual(silent);
  expect(described(silent, { credentials: { apiKey: "k" } }).credentials).toEqual({ apiKey: "k" });
});
