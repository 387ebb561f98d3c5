import type { Log } from "../lib/log.js";
import { inSeconds } from "../lib/seconds.js";
import type { StatusEvent } from "./watching.js";

/** What a watch says of itself. */
export type WatchNews =
  | StatusEvent
  | { readonly type: "failed"; readonly error: Error }
  | { readonly type: "closed" };

/**
 * Writes each as one line. None holds a secret.
 * @param attachedTo the endpoint in use, if there is a choice of them
 */
export function logWatch(
  log: Log,
  pulse: string,
  topic: string,
  attachedTo: () => string | undefined = () => undefined,
): (news: WatchNews) => void {
  return (news) => {
    const base = { event: news.type, pulse };
    const endpoint = attachedTo();
    switch (news.type) {
      case "synced":
        return log.info(
          { ...base, ...(endpoint && { endpoint }), revision: String(news.revision) },
          `in step with the ${topic} of Pulse`,
        );
      case "stale":
        return log.warn(
          { ...base, error: news.error.message },
          `the ${topic} of Pulse may be out of date${nextAttempt(news.retryInMs)}`,
        );
      case "rejected":
        return log.warn(
          { ...base, error: news.error.message },
          `Pulse refuses to show its ${topic}; check the token. Next attempt in ${inSeconds(news.retryInMs)}`,
        );
      case "failed":
        return log.error(
          { ...base, error: news.error.message },
          `the watch of the ${topic} has failed`,
        );
      case "closed":
        return log.info(base, `the watch of the ${topic} has ended`);
    }
  };
}

/** Nothing while the stream is there, and there is nothing to try. */
function nextAttempt(retryInMs: number): string {
  return retryInMs > 0 ? `; next attempt in ${inSeconds(retryInMs)}` : "";
}
