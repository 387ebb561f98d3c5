import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { DownloadClientSchema } from "../../gen/pulse/v1/download_client_pb.js";
import { hideCredentials } from "../../src/cli/credential-hiding.js";

test("without credentials an entry has neither user names nor passwords, in overrides neither", () => {
  const overrides = { host: "nas", username: "you", password: "hunter3" };
  const credentials = { username: "me", password: "hunter2", overrides };
  const entry = create(DownloadClientSchema, { name: "haul", ...credentials });
  hideCredentials([undefined, entry]);
  expect(entry).toMatchObject({ name: "haul", username: "", password: "" });
  expect(entry.overrides).toMatchObject({ host: "nas", username: "", password: "" });
});

test("what is not overridden does not begin to look so", () => {
  const entry = create(DownloadClientSchema, { overrides: { host: "nas" } });
  hideCredentials([entry]);
  expect(entry.overrides?.username).toBeUndefined();
  expect(entry.overrides?.password).toBeUndefined();
});
