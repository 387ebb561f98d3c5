// Managers that watch download clients, as many as asked for, in a process of their own.
// Tells each event as a log line, and what they show now for each line it reads.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { watchDownloadClients } from "../../../src/client/index.js";
import { say } from "../say.js";
import { shownText } from "../shown-text.js";
import type { WatchersConfig } from "../watchers.js";

const { pulse, tokenFile, count } = JSON.parse(process.argv[2] ?? "") as WatchersConfig;
const watches = Array.from({ length: count }, () =>
  watchDownloadClients({ pulse, token: async () => (await readFile(tokenFile, "utf8")).trim() }),
);

for (const [watcher, watch] of watches.entries()) void tell(watcher, watch);
say({ msg: "watchers.started" });

createInterface({ input: process.stdin }).on("line", () => {
  const views = watches.map((watch) => {
    const { state, items } = watch.current();
    return { state, entries: items.map((item) => [item.id, shownText(item)]) };
  });
  say({ msg: "current", views });
});

async function tell(watcher: number, watch: (typeof watches)[number]): Promise<void> {
  for await (const event of watch)
    say({
      msg: "watch",
      watcher,
      type: event.type,
      ...("item" in event ? { name: event.item.name, reason: event.reason } : {}),
      ...("error" in event ? { error: event.error.message } : {}),
    });
}
