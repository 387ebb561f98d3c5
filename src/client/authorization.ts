import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type RegisterResponse, RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import type { InstanceToken } from "./instance-token.js";

/** A bearer token, or what gives one: a function is asked before each call, so a mended token is found. */
export type TokenSource = string | (() => string | Promise<string>);

/**
 * Sends `authorization: Bearer <token>` with every call. A token that cannot
 * be had yet (its file is about to be written) is UNAVAILABLE: worth a retry.
 *
 * @param own the token that the instance has of its own, which goes first. If Pulse
 *   does not take it for a Register, the other is tried at once; a Register that gives
 *   an own token has it kept.
 */
export function createAuthorization(source: TokenSource, own?: InstanceToken): Interceptor {
  return (next) => async (request) => {
    const send = (token: string) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const isRegister = request.method === RegistryService.method.register;
    const held = await own?.read();
    if (held !== undefined) {
      try {
        return await send(held);
      } catch (error) {
        if (!isRegister || !isUseless(ConnectError.from(error))) throw error;
      }
    }
    const response = await send(await currentToken(source));
    if (own && isRegister && !response.stream) {
      const { instanceToken } = response.message as RegisterResponse;
      if (instanceToken !== "") await own.keep(instanceToken);
      else if (held !== undefined) await own.drop();
    }
    return response;
  };
}

/** Whether Pulse does not take an own token: it does not know it, or it is of an identity that was given up. */
function isUseless(error: ConnectError): boolean {
  return (
    error.code === Code.Unauthenticated ||
    error
      .findDetails(ErrorInfoSchema)
      .some(({ domain, reason }) => domain === "pulse" && reason === "INSTANCE_MISMATCH")
  );
}

/**
 * The token as it is now.
 * @throws ConnectError (UNAVAILABLE) if it cannot be had yet
 */
export async function currentToken(source: TokenSource): Promise<string> {
  if (typeof source === "string") return source;
  let token: string;
  try {
    token = (await source()).trim();
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : "it threw no Error";
    throw new ConnectError(`the token function failed: ${text}`, Code.Unavailable);
  }
  // Headers would quote the token in its complaint about a bad character.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new ConnectError("the token function gave no usable token", Code.Unavailable);
  return token;
}
