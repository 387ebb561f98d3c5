import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import type { ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as V1 } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as V1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createReflection } from "../../src/wire/reflection.js";
import { startToy } from "./toy.js";

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

const VERSIONS = { v1: V1, v1alpha: V1Alpha };

async function start() {
  return startToy({}, {}, createReflection([RegistryService, DownloadClientService]));
}

async function* once<T>(value: T) {
  yield value;
}

/** The first file and all that it imports, in the order in which they can be linked. */
function importsFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const ordered = new Set<FileDescriptorProto>();
  const add = (file: FileDescriptorProto | undefined) => {
    if (!file) throw new Error("an import is missing");
    for (const name of file.dependency) add(files.find((other) => other.name === name));
    ordered.add(file);
  };
  add(files[0]);
  return [...ordered];
}

describe.each(["v1", "v1alpha"] as const)("reflection %s", (version) => {
  async function ask(messageRequest: Question) {
    const { url } = await start();
    const transport: Transport = createGrpcTransport({ baseUrl: url });
    const client = createClient(VERSIONS[version], transport);
    for await (const { messageResponse } of client.serverReflectionInfo(
      once({ host: "h", messageRequest } as never),
    ))
      return messageResponse;
    throw new Error("no answer");
  }
  const filesOf = async (messageRequest: Question) => {
    const answer = await ask(messageRequest);
    if (answer.case !== "fileDescriptorResponse") throw new Error(answer.case);
    return answer.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
  };

  it("lists all services, itself too", async () => {
    const answer = await ask({ case: "listServices", value: "" });
    expect(answer.value).toMatchObject({
      service: [
        { name: "pulse.v1.RegistryService" },
        { name: "pulse.v1.DownloadClientService" },
        { name: "grpc.reflection.v1.ServerReflection" },
        { name: "grpc.reflection.v1alpha.ServerReflection" },
      ],
    });
  });

  it.each([
    "pulse.v1.RegistryService",
    ".pulse.v1.RegistryService",
    "pulse.v1.RegistryService.Heartbeat",
    "pulse.v1.HeartbeatResponse",
    "pulse.v1.HeartbeatRequest.lease_id",
    "pulse.v1.HeartbeatResponse.event",
  ])("finds the file of %s, with all that it imports", async (symbol) => {
    const files = await filesOf({ case: "fileContainingSymbol", value: symbol });
    expect(files[0]?.name).toBe("pulse/v1/registry_service.proto");
    // What a client does with them: it fails unless they are complete.
    const registry = createFileRegistry(
      create(FileDescriptorSetSchema, { file: importsFirst(files) }),
    );
    expect(registry.getService("pulse.v1.RegistryService")).toBeDefined();
  });

  it.each([
    ["pulse.v1.SERVICE_STATUS_ONLINE", "pulse/v1/service.proto"],
    ["pulse.v1.ServiceStatus", "pulse/v1/service.proto"],
    ["google.protobuf.FieldDescriptorProto.TYPE_INT32", undefined],
  ])("finds the file of the enum or value %s", async (symbol, file) => {
    const answer = await ask({ case: "fileContainingSymbol", value: symbol });
    if (file === undefined) expect(answer.case).toBe("errorResponse");
    else
      expect((await filesOf({ case: "fileContainingSymbol", value: symbol }))[0]?.name).toBe(file);
  });

  it("finds a file by its name", async () => {
    const value = "google/protobuf/duration.proto";
    const [file] = await filesOf({ case: "fileByFilename", value });
    expect(file?.name).toBe(value);
  });

  it("knows that a message has no extensions", async () => {
    expect(
      (await ask({ case: "allExtensionNumbersOfType", value: "pulse.v1.HeartbeatRequest" })).value,
    ).toMatchObject({ baseTypeName: "pulse.v1.HeartbeatRequest", extensionNumber: [] });
  });

  it.each<Question>([
    { case: "fileByFilename", value: "no.proto" },
    { case: "fileContainingSymbol", value: "pulse.v1.None" },
    { case: "fileContainingSymbol", value: "" },
    { case: "allExtensionNumbersOfType", value: "pulse.v1.None" },
    {
      case: "fileContainingExtension",
      value: { containingType: "pulse.v1.HeartbeatRequest", extensionNumber: 1 },
    },
  ])("answers NOT_FOUND to %j, in the stream", async (question) => {
    expect(await ask(question)).toMatchObject({
      case: "errorResponse",
      value: { errorCode: Code.NotFound },
    });
  });

  it("answers INVALID_ARGUMENT to an empty question", async () => {
    expect(await ask({ case: undefined })).toMatchObject({
      value: { errorCode: Code.InvalidArgument },
    });
  });

  it("is enough for buf curl", async () => {
    const { url } = await start();
    const buf = join(import.meta.dirname, "..", "..", "node_modules", ".bin", "buf");
    const { stdout } = await promisify(execFile)(buf, [
      "curl",
      "--protocol=grpc",
      "--http2-prior-knowledge",
      `--reflect-protocol=grpc-${version}`,
      "--list-methods",
      url,
    ]);
    expect(stdout).toContain("pulse.v1.RegistryService/Heartbeat");
  });
});
