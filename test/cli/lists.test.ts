import { createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import {
  DownloadClientService,
  type ListDownloadClientsRequest,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { listDownloadClients, listServices } from "../../src/cli/lists.js";
import type { PulseConnection } from "../../src/client/index.js";

/** A Pulse with two pages of each list, the second one newer. */
function pagedPulse(asked: ListDownloadClientsRequest[] = []): PulseConnection {
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      listServices: ({ pageToken }) =>
        pageToken === ""
          ? { services: [{ id: "1" }, { id: "2" }], nextPageToken: "more", revision: 7n }
          : { services: [{ id: "3" }], revision: 9n },
    });
    router.service(DownloadClientService, {
      listDownloadClients: (request) => {
        asked.push(request);
        return request.pageToken === ""
          ? { downloadClients: [{ id: "1" }], nextPageToken: "more", resumeToken: "at 7" }
          : { downloadClients: [{ id: "2" }], resumeToken: "at 9" };
      },
    });
  });
  return {
    registry: createClient(RegistryService, transport),
    downloadClients: createClient(DownloadClientService, transport),
    tokens: createClient(TokenService, transport),
    audit: createClient(AuditService, transport),
    secrets: createClient(SecretService, transport),
    close() {},
  };
}

test("all pages become one list, of the first page's revision", async () => {
  const list = await listServices(pagedPulse());
  expect(list.services.map((service) => service.id)).toEqual(["1", "2", "3"]);
  expect(list).toMatchObject({ nextPageToken: "", revision: 7n });
});

test("every page is asked for with the same filter, and a watch may resume from the first", async () => {
  const asked: ListDownloadClientsRequest[] = [];
  const list = await listDownloadClients(pagedPulse(asked), { kinds: ["aria2"] });
  expect(list.downloadClients.map((entry) => entry.id)).toEqual(["1", "2"]);
  expect(list).toMatchObject({ nextPageToken: "", resumeToken: "at 7" });
  expect(asked.map(({ kinds, pageToken }) => ({ kinds, pageToken }))).toEqual([
    { kinds: ["aria2"], pageToken: "" },
    { kinds: ["aria2"], pageToken: "more" },
  ]);
});
