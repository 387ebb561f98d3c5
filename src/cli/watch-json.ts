import type { StreamItem } from "../client/index.js";
import type { WatchTarget } from "./pulse-watch.js";

/** What responses of all watches have in common. */
interface WatchResponse {
  readonly event:
    | { readonly case: "snapshot"; readonly value: { readonly more: boolean } }
    | { readonly case: "change" | "bookmark"; readonly value: unknown }
    | { readonly case: undefined; readonly value?: undefined };
}

/**
 * Prints the responses of a watch as they come. The parts of a snapshot wait for
 * the last one: those of a stream that is lost before are void.
 *
 * @throws Error if Pulse refuses the request or the token
 */
export async function printResponses<Response extends WatchResponse>(
  stream: AsyncIterable<StreamItem<Response>>,
  { notes, refusal }: Pick<WatchTarget, "notes" | "refusal">,
  print: (response: Response) => void,
): Promise<void> {
  let waiting: Response[] = [];
  for await (const item of stream) {
    switch (item.type) {
      case "response": {
        notes.found();
        const { event } = item.response;
        waiting.push(item.response);
        if (event.case === "snapshot" && event.value.more) break;
        for (const response of waiting) print(response);
        waiting = [];
        break;
      }
      case "interrupted":
        waiting = [];
        notes.lost(item.error);
        break;
      case "rejected":
        throw refusal(item.error);
    }
  }
}
