// On SIGUSR2 a program writes what is on its heap, once all garbage is gone, into the file
// HEAP_SNAPSHOT, and says so as a log line.
import v8, { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

process.on("SIGUSR2", async () => {
  for (let n = 0; n < 3; n++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  v8.writeHeapSnapshot(process.env.HEAP_SNAPSHOT);
  process.stdout.write(`${JSON.stringify({ msg: "heap.written" })}\n`);
});
