// On SIGUSR2 the write-ahead log of this process's SQLite cannot be written any more, on
// the next one it can: as when the system has made the disk read-only after an error. No
// test could have that done to its disk, but SQLite sees the same, a write that is refused.
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";

let isWritable = true;

process.on("SIGUSR2", () => {
  isWritable = !isWritable;
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    const path = pathOf(fd);
    // SQLite has no lock on this file, which closing it would drop.
    if (path?.endsWith(".db-wal")) reopen(fd, path);
  }
  process.stdout.write(`${JSON.stringify({ msg: "store.made", isWritable })}\n`);
});

function pathOf(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // that of the directory which was read
  }
}

/** By the same number: the system gives the lowest that is free. */
function reopen(fd, path) {
  closeSync(fd);
  const others = [];
  for (;;) {
    const opened = openSync(path, isWritable ? "r+" : "r");
    if (opened === fd) break;
    others.push(opened);
  }
  for (const other of others) closeSync(other);
}
