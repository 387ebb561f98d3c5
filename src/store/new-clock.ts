import type { Kysely } from "kysely";
import type { Random } from "../lib/random.js";
import type { Secrets } from "../lib/sealing.js";
import type { Schema } from "./schema.js";
import { checkOf } from "./secret-key.js";

/** Begins the history of a new store: it gets its epoch, and what its key is known by. */
export async function insertClock(
  db: Kysely<Schema>,
  secrets: Secrets,
  random: Random,
): Promise<void> {
  await db
    .insertInto("clock")
    .values({
      one: 1,
      epoch: random.uuid(),
      rev: 0,
      stamp: "",
      min_rev: 0,
      key_check: checkOf(secrets),
    })
    .execute();
}
