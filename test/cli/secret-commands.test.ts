import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { RotateSecretsResponseSchema } from "../../gen/pulse/v1/secret_service_pb.js";
import { rotationText } from "../../src/cli/secret-commands.js";

const textOf = (retiredKeyIds: string[]) =>
  rotationText(
    create(RotateSecretsResponseSchema, { keyId: "0a1b2c3d", reencrypted: 12n, retiredKeyIds }),
  );

it("says which key it is now, and which ones nothing needs any more", () => {
  expect(textOf([])).toMatch(/^Everything .* key 0a1b2c3d now; 12 stored secrets .* anew\.$/);
  expect(textOf(["11111111"])).toMatch(/\nNothing but older backups needs the key 11111111 .* it /);
  expect(textOf(["1", "2"])).toMatch(/needs the keys 1, 2 any more: .* take them away/);
});
