import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";

/** The bytes of a message, as grpc-js wants them: it calls `copy`, which a Uint8Array has not. */
export function toBuffer<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
