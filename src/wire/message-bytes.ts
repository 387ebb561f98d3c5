import { type DescMessage, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";

/** The bytes of each shared message, once they are made. */
const shared = new WeakMap<Message, { bytes: Buffer | undefined }>();

/**
 * Declares that a message will not change any more, and returns it. However many
 * gRPC streams it is sent to, it is encoded once, and its bytes are kept as long as
 * the message is. A change after this may or may not reach the peers.
 *
 * Connect and gRPC-Web encode it anew for each stream: they have serializers of
 * their own, and serve browsers, of which there are few.
 */
export function shareBytes<T extends Message>(message: T): T {
  if (!shared.has(message)) shared.set(message, { bytes: undefined });
  return message;
}

/**
 * The bytes of a message, as grpc-js wants them: it calls `copy`, which a Uint8Array
 * has not. It copies them into a frame, and neither keeps nor changes them. Those of
 * a shared message are everybody's: only to be read.
 */
export function toBuffer<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Buffer {
  const kept = shared.get(message);
  if (!kept) return encode(schema, message);
  kept.bytes ??= encode(schema, message);
  return kept.bytes;
}

function encode<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
