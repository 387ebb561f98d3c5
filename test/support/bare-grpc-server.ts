import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import {
  type GetServiceRequest,
  GetServiceRequestSchema,
  type GetServiceResponse,
  GetServiceResponseSchema,
  type HeartbeatRequest,
  HeartbeatRequestSchema,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";

export type UnaryCall = ServerUnaryCall<GetServiceRequest, GetServiceResponse>;
export type StreamCall = ServerDuplexStream<HeartbeatRequest, HeartbeatResponse>;

export interface BareHandlers {
  readonly unary?: (call: UnaryCall, callback: sendUnaryData<GetServiceResponse>) => void;
  readonly stream?: (call: StreamCall) => void;
}

export interface BareServer {
  readonly address: string;
  readonly port: number;
  stop(): void;
}

/** A grpc-js server without any code of this project: GetService and Heartbeat as the test says. */
export async function startBareServer(handlers: BareHandlers, port = 0): Promise<BareServer> {
  const server = new Server();
  const path = (name: string) => `/pulse.v1.RegistryService/${name}`;
  const shape = { requestStream: false, responseStream: false };
  server.addService(
    {
      unary: {
        ...shape,
        path: path("GetService"),
        requestSerialize: (message: GetServiceRequest) =>
          Buffer.from(toBinary(GetServiceRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(GetServiceRequestSchema, bytes),
        responseSerialize: (message: GetServiceResponse) =>
          Buffer.from(toBinary(GetServiceResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(GetServiceResponseSchema, bytes),
      },
      stream: {
        requestStream: true,
        responseStream: true,
        path: path("Heartbeat"),
        requestSerialize: (message: HeartbeatRequest) =>
          Buffer.from(toBinary(HeartbeatRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(HeartbeatRequestSchema, bytes),
        responseSerialize: (message: HeartbeatResponse) =>
          Buffer.from(toBinary(HeartbeatResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(HeartbeatResponseSchema, bytes),
      },
    },
    {
      unary: handlers.unary ?? answerEmpty,
      stream: handlers.stream ?? ((call: StreamCall) => call.end()),
    },
  );
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return {
    address: `http://127.0.0.1:${bound}`,
    port: bound,
    stop: () => server.forceShutdown(),
  };
}

function answerEmpty(_call: UnaryCall, callback: sendUnaryData<GetServiceResponse>): void {
  callback(null, serviceOf(""));
}

export function serviceOf(id: string): GetServiceResponse {
  return create(GetServiceResponseSchema, { service: { id } });
}

export function renewalOf(request: HeartbeatRequest): HeartbeatResponse {
  const { leaseId, sequence } = request;
  return create(HeartbeatResponseSchema, {
    event: { case: "renewed", value: { leaseId, sequence } },
  });
}
