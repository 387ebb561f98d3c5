import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** A bearer token, or what gives one: a function is asked before each call, so a mended token is found. */
export type TokenSource = string | (() => string | Promise<string>);

/**
 * Sends `authorization: Bearer <token>` with every call. A token that cannot
 * be had yet (its file is about to be written) is UNAVAILABLE: worth a retry.
 */
export function createAuthorization(source: TokenSource): Interceptor {
  return (next) => async (request) => {
    const token = await currentToken(source);
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
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
