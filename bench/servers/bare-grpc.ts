import { type AddressInfo, createServer } from "node:net";
import {
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  type HeartbeatRequest,
  type HeartbeatResponse,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { answerHeartbeat, answerList, answerRegister } from "./bare-answers.js";
import { FAN_OUT, fanOutHandlers } from "./bare-fan-out.js";

/**
 * The reference: handlers written straight on grpc-js over the same messages and
 * paths, in memory, with no authentication, no disk and no logic. What Pulse costs
 * beyond it, its guarantees cost.
 */

function definitionOf(...services: DescService[]): ServiceDefinition {
  const methods = services.flatMap((service) => service.methods);
  return Object.fromEntries(methods.map((method) => [method.localName, methodDefinition(method)]));
}

function methodDefinition({ parent, name, methodKind, input, output }: DescMethod) {
  const encode = (schema: typeof input) => (message: Message) => {
    const { buffer, byteOffset, byteLength } = toBinary(schema, message);
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  return {
    path: `/${parent.typeName}/${name}`,
    requestStream: methodKind === "bidi_streaming" || methodKind === "client_streaming",
    responseStream: methodKind === "bidi_streaming" || methodKind === "server_streaming",
    requestSerialize: encode(input),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
    responseSerialize: encode(output),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  };
}

function unary<Request, Response>(answer: (request: Request) => Response) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
    callback(null, answer(call.request));
  };
}

const server = new Server();
server.addService(
  { ...definitionOf(RegistryService, DownloadClientService), ...FAN_OUT },
  {
    ...fanOutHandlers,
    register: unary(answerRegister),
    listDownloadClients: unary(answerList),
    heartbeat: (call: ServerDuplexStream<HeartbeatRequest, HeartbeatResponse>) => {
      call.on("data", (request: HeartbeatRequest) => call.write(answerHeartbeat(request)));
      call.on("end", () => call.end());
      call.on("error", () => {}); // the generator left
    },
  },
);

// By a listener of our own only for its backlog: grpc-js cannot ask for one, and the
// system's default loses connections when thousands come at once.
const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
const listener = createServer({ noDelay: true }, (socket) => injector.injectConnection(socket));
listener.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  console.log(JSON.stringify({ port: (listener.address() as AddressInfo).port }));
});
