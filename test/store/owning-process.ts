import { systemRandom } from "../../src/lib/random.js";
import { openSqliteStore } from "../../src/store/sqlite.js";
import { requestOf, serviceCommit } from "./sample-records.js";

// A process that owns the store in argv[2], says after each commit which it was,
// and goes on until it is killed.

const store = await openSqliteStore({
  directory: process.argv[2] ?? "",
  random: systemRandom,
});
let { revision } = await store.load();
for (;;) {
  const next = revision + 1n;
  const commit = serviceCommit(next, { id: `service-${next}` });
  await store.commit(requestOf([commit]));
  revision = next;
  await new Promise((resolve) => process.stdout.write(`${revision}\n`, resolve));
}
