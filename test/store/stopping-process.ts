import { writeSync } from "node:fs";
import { systemRandom } from "../../src/lib/random.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import { pointOf, serviceCommit } from "./sample-records.js";

// A node on the database in argv[2] that stops while it holds the clock, and says
// what its commit came to once it is let go on.

const [, , url = "", directory = ""] = process.argv;
const store = await openPostgresStore({ url, directory, random: systemRandom });
try {
  await store.commit({
    known: () => pointOf(0n),
    holdingsOf: [],
    decide() {
      writeSync(1, "deciding\n");
      process.kill(process.pid, "SIGSTOP");
      return [serviceCommit(1n, { statusReason: "late" })];
    },
  });
  writeSync(1, "committed\n");
} catch (error) {
  writeSync(1, `${(error as Error).name}\n`);
}
process.exit();
