// Loaded into each server with `--import`, so that all are asked in the same way what they use,
// Pulse too, which otherwise runs as its users run it. Plain JavaScript: Pulse knows no tsx.

import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";

const profiler = new Session();

const methods = {
  usage() {
    const { user, system } = process.cpuUsage();
    return {
      atMs: Number(process.hrtime.bigint()) / 1e6,
      cpuMs: (user + system) / 1_000,
      rssBytes: process.memoryUsage.rss(),
    };
  },
  async startProfile() {
    profiler.connect();
    await profiler.post("Profiler.enable");
    await profiler.post("Profiler.start");
  },
  async stopProfile(/** @type {string} */ path) {
    const { profile } = await profiler.post("Profiler.stop");
    writeFileSync(path, JSON.stringify(profile));
    profiler.disconnect();
  },
};

process.on("message", async ({ id, method, args }) => {
  process.send({ id, result: await methods[method](...args) });
});
process.channel?.unref(); // whether the server ends is its own affair
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
