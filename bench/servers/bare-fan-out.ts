import type {
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { PUBLISH, SET_OPENING, WATCH } from "../generator/paths.js";

/** Watches straight on grpc-js: the message of a request goes to all of them, encoded already. */

const EMPTY: Buffer = Buffer.alloc(0);
const watches = new Set<ServerWritableStream<Buffer, Buffer>>();
let opening = EMPTY;

export const FAN_OUT: ServiceDefinition = {
  watchDownloadClients: methodOf(WATCH, true),
  setOpening: methodOf(SET_OPENING, false),
  publish: methodOf(PUBLISH, false),
};

export const fanOutHandlers: UntypedServiceImplementation = {
  watchDownloadClients(call: ServerWritableStream<Buffer, Buffer>) {
    watches.add(call);
    call.on("cancelled", () => watches.delete(call)); // the generator left
    call.write(opening);
  },
  setOpening({ request }: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
    opening = request;
    reply(null, EMPTY);
  },
  publish({ request }: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
    for (const watch of watches) watch.write(request);
    reply(null, EMPTY);
  },
};

function methodOf(path: string, responseStream: boolean) {
  const asItIs = (bytes: Buffer) => bytes;
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}
