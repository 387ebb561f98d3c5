import { type DescMessage, fromBinary, fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  type HandlerContext,
} from "@connectrpc/connect";

/** Why the request of a call is no message. */
const undecodableKey = createContextKey<ConnectError | undefined>(undefined, {
  description: "why the request is no message",
});

export function markUndecodable(values: ContextValues, problem: ConnectError): ContextValues {
  return values.set(undecodableKey, problem);
}

/** @throws ConnectError (INVALID_ARGUMENT) if the request was marked */
export function refuseUndecodable({ values }: HandlerContext): void {
  const problem = values.get(undecodableKey);
  if (problem) throw problem;
}

/** What is wrong with the bytes of a message, without a word of them; undefined: nothing. */
export function decodingProblem(
  bytes: Uint8Array,
  schema: DescMessage,
  isJson: boolean,
): ConnectError | undefined {
  try {
    if (isJson) fromJson(schema, parseJson(bytes), { ignoreUnknownFields: true });
    else fromBinary(schema, bytes);
    return undefined;
  } catch (error) {
    return noMessage(schema, isJson ? jsonProblem(error) : binaryProblem(error));
  }
}

/** The refusal of bytes that cannot be read as binary. */
export function unreadable(schema: DescMessage, error: unknown): ConnectError {
  return noMessage(schema, binaryProblem(error));
}

function noMessage({ typeName }: DescMessage, why: string): ConnectError {
  return new ConnectError(`the request is no ${typeName}: ${why}`, Code.InvalidArgument);
}

/** Such as `premature EOF`: it says nothing of the content. */
function binaryProblem(error: unknown): string {
  return error instanceof Error ? error.message : "unreadable";
}

/** As Connect reads it. */
function parseJson(bytes: Uint8Array): JsonValue {
  return JSON.parse(new TextDecoder().decode(bytes)) as JsonValue;
}

/** Where the mistake is. What the libraries say quotes what is there. */
function jsonProblem(error: unknown): string {
  if (!(error instanceof Error)) return "unreadable";
  const field = fieldOf(error.cause);
  if (field) return `its ${field} cannot be read from JSON`;
  if (!(error instanceof SyntaxError)) return "its JSON does not have the form of this message";
  const position = /at position (\d+)/.exec(error.message)?.[1];
  return `it is no JSON${position ? `, at character ${position}` : ""}`;
}

/** Such as `field pulse.v1.RegisterRequest.instance_id`, if an error of protobuf-es names one. */
function fieldOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error && "field" in cause)) return undefined;
  const { field } = cause;
  return typeof field === "function" ? String(field.call(cause)) : undefined;
}
