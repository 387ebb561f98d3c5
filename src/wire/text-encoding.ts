import { configureTextEncoding, getTextEncoding } from "@bufbuild/protobuf/wire";

/**
 * Has protobuf encode its texts with Buffer instead of TextEncoder, for the whole
 * process: the bytes are the same, and a list of 20 entries costs two thirds.
 */
export function encodeTextWithBuffer(): void {
  configureTextEncoding({ ...getTextEncoding(), encodeUtf8: (text) => Buffer.from(text) });
}
