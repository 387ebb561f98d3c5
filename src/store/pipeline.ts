import type { CompiledQuery, Kysely, QueryResult, Transaction } from "kysely";
import pg from "pg";

// A writer holds the clock for as long as it waits for answers, and everybody else
// waits with it. So it sends what it can before it waits: the server takes the
// statements of a connection in their order, and none after one that failed.

type Statement = CompiledQuery<unknown>;
type Answer = PromiseSettledResult<QueryResult<unknown>>;

interface Sent {
  /** In the order of the statements. Never rejects. */
  readonly answers: Promise<readonly Answer[]>;
}

/** All results, for one round trip. @throws what the first statement that failed failed with. */
export async function askTogether<Schema>(
  trx: Transaction<Schema>,
  statements: readonly Statement[],
): Promise<readonly (readonly unknown[])[]> {
  const { answers } = await send(trx, statements);
  return (await answers).map((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value.rows;
  });
}

/** A transaction that sends its last statements and COMMIT together. */
export async function commitTogether<Schema>(
  db: Kysely<Schema>,
  begin: (trx: Transaction<Schema>) => Promise<readonly Statement[]>,
): Promise<void> {
  let sent: Sent | undefined;
  try {
    await db.transaction().execute(async (trx) => {
      sent = await send(trx, await begin(trx));
    });
  } catch (error) {
    throw (sent && refusalAmong(await sent.answers)) ?? error;
  }
}

/** Resolves when they are on their way, so that what is sent next comes after them. */
function send<Schema>(trx: Transaction<Schema>, statements: readonly Statement[]): Promise<Sent> {
  return new Promise((resolve, reject) => {
    trx
      .getExecutor()
      .provideConnection((connection) => {
        const answers = Promise.allSettled(statements.map((each) => connection.executeQuery(each)));
        resolve({ answers });
        return answers;
      })
      .catch(reject);
  });
}

/** If the server has refused a statement, it has not carried out the COMMIT behind it, whatever became of the connection. */
function refusalAmong(answers: readonly Answer[]): unknown {
  for (const answer of answers)
    if (answer.status === "rejected" && answer.reason instanceof pg.DatabaseError)
      return answer.reason;
  return undefined;
}
