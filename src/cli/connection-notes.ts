import { ConnectError } from "@connectrpc/connect";
import { failureSentence, withFlags } from "./failure.js";

/** Tells of a connection that is lost and found again: once for each, however often it is tried. */
export interface ConnectionNotes {
  lost(error: Error): void;
  found(): void;
}

export function connectionNotes(url: string, say: (text: string) => void): ConnectionNotes {
  let state: "new" | "there" | "waiting" | "lost" = "new";
  return {
    lost(error) {
      const text = ConnectError.from(error).rawMessage.replace(/^the token function failed: /, "");
      const why = failureSentence(new Error(withFlags(text)));
      if (state === "new") {
        say(`Cannot watch Pulse at ${url} yet (${why}); trying until that works.`);
        state = "waiting";
      } else if (state === "there") {
        say(`Lost Pulse at ${url} (${why}); trying to reach it again.`);
        state = "lost";
      }
    },
    found() {
      if (state === "waiting") say(`Watching Pulse at ${url} now.`);
      if (state === "lost") say(`Pulse at ${url} is back.`);
      state = "there";
    },
  };
}
