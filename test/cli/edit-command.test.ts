import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { Source } from "../../gen/pulse/v1/download_client_pb.js";
import {
  DownloadClientService,
  type UpdateDownloadClientRequest,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { editEntry } from "../../src/cli/edit-command.js";
import { CommandError } from "../../src/cli/failure.js";
import type { PulseConnection } from "../../src/client/index.js";

/** A Pulse with one entry, whose `update` answers as told. */
function pulseWith(update: (request: UpdateDownloadClientRequest) => object): PulseConnection {
  const transport = createRouterTransport((router) => {
    router.service(DownloadClientService, {
      listDownloadClients: ({ showDeleted }) => ({
        downloadClients: showDeleted
          ? [{ id: "7", name: "nas", etag: "at 3", source: Source.MANUAL }]
          : [],
      }),
      updateDownloadClient: update,
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

const input = { priority: 3, clear: [] };

test("the etag that was read is sent back, so that nobody's change is overwritten", async () => {
  const asked: UpdateDownloadClientRequest[] = [];
  const pulse = pulseWith((request) => {
    asked.push(request);
    return { downloadClient: { id: "7", etag: "at 4" } };
  });
  const { entry, words, response } = await editEntry(pulse, "nas", input);
  expect(asked).toMatchObject([
    { downloadClient: { id: "7", etag: "at 3", priority: 3 }, updateMask: { paths: ["priority"] } },
  ]);
  expect(entry.etag).toBe("at 3");
  expect(response.downloadClient?.etag).toBe("at 4");
  expect(words).toEqual(["priority"]);
});

test("a change by somebody else in between is said, with what to do", async () => {
  const pulse = pulseWith(() => {
    const details = [
      { desc: ErrorInfoSchema, value: { domain: "pulse", reason: "ETAG_MISMATCH" } },
    ];
    throw new ConnectError("stale", Code.Aborted, undefined, details);
  });
  const failed = editEntry(pulse, "nas", input);
  await expect(failed).rejects.toBeInstanceOf(CommandError);
  await expect(failed).rejects.toThrow(
    'somebody else changed nas at the same moment, so nothing was done: look at it with "pulse clients list", and edit it again',
  );
});

test("any other refusal stays what it is", () =>
  expect(
    editEntry(
      pulseWith(() => {
        throw new ConnectError("no", Code.InvalidArgument);
      }),
      "7",
      input,
    ),
  ).rejects.toMatchObject({ code: Code.InvalidArgument }));
