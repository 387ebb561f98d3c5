import { expect, it } from "vitest";
import { logWatch, type WatchNews } from "../../src/client/watch-log.js";
import { recordingLog } from "../support/recording-log.js";

const error = new Error("no connection");

it("says which Pulse it is in step with where there is a choice", () => {
  const log = recordingLog();
  const write = logWatch(log, "http://a:1,http://b:2", "services", () => "10.0.0.1:1");
  write({ type: "synced", revision: 7n });
  expect(log.lines[0]?.fields).toMatchObject({ endpoint: "10.0.0.1:1" });
});

it.each<[WatchNews, string, object]>([
  [
    { type: "synced", revision: 7n },
    "info in step with the services of Pulse",
    { event: "synced", revision: "7" },
  ],
  [
    { type: "stale", error, retryInMs: 1_500 },
    "warn the services of Pulse may be out of date; next attempt in 1.5 s",
    { event: "stale", error: "no connection" },
  ],
  [
    { type: "stale", error, retryInMs: 0 },
    "warn the services of Pulse may be out of date",
    { event: "stale", error: "no connection" },
  ],
  [
    { type: "rejected", error, retryInMs: 60_000 },
    "warn Pulse refuses to show its services; check the token. Next attempt in 60 s",
    { event: "rejected", error: "no connection" },
  ],
  [
    { type: "failed", error },
    "error the watch of the services has failed",
    { event: "failed", error: "no connection" },
  ],
  [{ type: "closed" }, "info the watch of the services has ended", { event: "closed" }],
])("%o is one line", (news, text, fields) => {
  const log = recordingLog();
  logWatch(log, "http://pulse:9696", "services")(news);
  expect(log.lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([text]);
  expect(log.lines[0]?.fields).toEqual({ pulse: "http://pulse:9696", ...fields });
});
