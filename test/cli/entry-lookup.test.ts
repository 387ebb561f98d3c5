import { createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { findEntry } from "../../src/cli/entry-lookup.js";
import type { PulseConnection } from "../../src/client/index.js";

interface Item {
  readonly id: string;
  readonly name: string;
}

const nas = { id: "1", name: "nas" };
const sly = { id: "3", name: "1" };

/** Looks among `seen`, and among `hidden` where these are asked for. */
function find(seen: readonly Item[], text: string, hidden: readonly Item[] = []) {
  const transport = createRouterTransport((router) => {
    router.service(DownloadClientService, {
      listDownloadClients: ({ showDeleted }) => ({
        downloadClients: [...seen, ...(showDeleted ? hidden : [])],
      }),
    });
  });
  const pulse: PulseConnection = {
    registry: createClient(RegistryService, transport),
    downloadClients: createClient(DownloadClientService, transport),
    tokens: createClient(TokenService, transport),
    audit: createClient(AuditService, transport),
    secrets: createClient(SecretService, transport),
    close() {},
  };
  return findEntry(pulse, text);
}

test("an entry is found by its id or its name, and an id goes before another's name", async () => {
  expect(await find([nas, sly], "nas")).toMatchObject(nas);
  expect(await find([sly, nas], "1")).toMatchObject(nas);
});

test("a hidden one is found as well", async () => {
  expect(await find([nas], "ghost", [{ id: "9", name: "ghost" }])).toMatchObject({ id: "9" });
});

test("an unknown name is said, with names that are near", async () => {
  await expect(find([nas], "box")).rejects.toThrow(
    /^there is no download client with the name or id "box"$/,
  );
  await expect(find([nas, { id: "4", name: "other" }], "NAS-2")).rejects.toThrow(
    /"NAS-2"; did you mean "nas"\?$/,
  );
});

test("a near name from elsewhere cannot turn the reading direction", () =>
  expect(find([{ id: "1", name: "nas\u202e" }], "nas")).rejects.toThrow('"nas\ufffd"'));
