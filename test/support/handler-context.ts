import type { DescMethod } from "@bufbuild/protobuf";
import { createHandlerContext, type HandlerContext } from "@connectrpc/connect";

/** The context of a call without a wire, with these request headers. */
export function handlerContext(
  method: DescMethod,
  requestHeader: Record<string, string> = {},
): HandlerContext {
  return createHandlerContext({
    service: method.parent,
    method,
    protocolName: "test",
    requestMethod: "POST",
    url: "http://pulse/",
    requestHeader,
  });
}
