// On SIGUSR2 a program says, as a log line, what it holds once all garbage is gone.
import { EventEmitter } from "node:events";
import { readdirSync } from "node:fs";
import v8, { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

process.on("SIGUSR2", async () => {
  // Finalizers free what a second collection can take.
  for (let n = 0; n < 3; n++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const handles = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  const files = readdirSync("/proc/self/fd").length;
  // It takes long, and Node 20.12 does not have it.
  const emitters =
    process.env.COUNT_EMITTERS && v8.queryObjects?.(EventEmitter, { format: "count" });
  const report = { msg: "memory", rss, heapUsed, external, arrayBuffers, emitters, handles, files };
  process.stdout.write(`${JSON.stringify(report)}\n`);
});
