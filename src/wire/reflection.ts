import type { DescFile, DescService } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  type ServerReflectionRequest as RequestV1,
  ServerReflection as V1,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  type ServerReflectionRequest as RequestV1Alpha,
  ServerReflection as V1Alpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import {
  createDescriptorIndex,
  type DescriptorIndex,
  encodeWithImports,
} from "./descriptor-index.js";
import { type Mount, mount } from "./mount.js";

/** Both versions have the same messages, but for the package in their names. */
type Request = RequestV1 | RequestV1Alpha;

/**
 * grpc.reflection.v1 and v1alpha: with them, grpcurl and `buf curl` call the given
 * services without a proto file.
 * @param details files of messages that only errors carry, so that they can be read too
 */
export function createReflection(
  services: readonly DescService[],
  details: readonly DescFile[] = [],
): Mount[] {
  const all = [...services, V1, V1Alpha];
  const index = createDescriptorIndex([...all.map(({ file }) => file), ...details]);
  const names = all.map(({ typeName }) => ({ name: typeName }));

  async function* serverReflectionInfo<R extends Request>(requests: AsyncIterable<R>) {
    for await (const request of requests)
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(request, index, names),
      };
  }
  return [mount(V1, { serverReflectionInfo }), mount(V1Alpha, { serverReflectionInfo })];
}

function answer(
  { messageRequest: asked }: Request,
  index: DescriptorIndex,
  services: { name: string }[],
) {
  switch (asked.case) {
    case "listServices":
      return { case: "listServicesResponse" as const, value: { service: services } };
    case "fileByFilename":
      return fileResponse(index.file(asked.value), `file ${asked.value}`);
    case "fileContainingSymbol":
      return fileResponse(index.fileOf(asked.value.replace(/^\./, "")), `symbol ${asked.value}`);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = asked.value;
      const message = index.message(containingType);
      const extension =
        message && index.extensionsOf(message).find(({ number }) => number === extensionNumber);
      return fileResponse(extension?.file, `extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      const message = index.message(asked.value);
      if (!message) return notFound(`message ${asked.value}`);
      return {
        case: "allExtensionNumbersResponse" as const,
        value: {
          baseTypeName: message.typeName,
          extensionNumber: index.extensionsOf(message).map(({ number }) => number),
        },
      };
    }
    case undefined:
      return errorResponse(Code.InvalidArgument, "the request asks for nothing");
  }
}

function fileResponse(file: DescFile | undefined, what: string) {
  if (!file) return notFound(what);
  return {
    case: "fileDescriptorResponse" as const,
    value: { fileDescriptorProto: encodeWithImports(file) },
  };
}

function notFound(what: string) {
  return errorResponse(Code.NotFound, `no ${what} is known here`);
}

function errorResponse(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
