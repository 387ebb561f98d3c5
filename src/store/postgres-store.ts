import type { Kysely } from "kysely";
import type { AuditEntry } from "../core/audit.js";
import type { Random } from "../lib/random.js";
import { UnsealError } from "../lib/sealing.js";
import { type RotatedDatabase, rotateKeys } from "./key-rotation.js";
import type { NodeQueries } from "./node-queries.js";
import { toOpenError, toUnavailable } from "./postgres-errors.js";
import type { Queries } from "./queries.js";
import { Resealing } from "./resealing.js";
import type { Schema } from "./schema.js";
import type { StoreKeys } from "./secret-key.js";
import type {
  Allowance,
  AuditPage,
  AuditRequest,
  CommitRequest,
  DueLease,
  HoldingChanges,
  KeyRotation,
  Listening,
  NodeInfo,
  Renewal,
  RotationStep,
  SharedStore,
  Since,
  Store,
  StoredRegistry,
  StorePoint,
  TokenUse,
} from "./store.js";
import { Usage } from "./usage.js";

/** One way to the database: what is asked on it is given up after the same time. */
export interface Lane {
  readonly db: Kysely<Schema>;
  readonly queries: Queries;
  readonly nodes: NodeQueries;
}

export interface PostgresStoreParts {
  readonly name: string;
  /** Those that the lanes use. */
  readonly keys: StoreKeys;
  readonly random: Random;
  /** For transactions: they may have to wait for other nodes. */
  readonly writes: Lane;
  /** For what must be answered at once, or not at all, whatever the other lane waits for. */
  readonly asks: Lane;
  readonly listen: (onHint: () => void) => Listening;
}

/** A store on a PostgreSQL that other nodes use too. */
export class PostgresStore implements Store, SharedStore {
  readonly shared = this;
  readonly name: string;
  readonly #parts: PostgresStoreParts;
  readonly #listeners = new Set<Listening>();
  readonly #usage = new Usage();
  /** Settles with the newest of those that wait for the clock. Never rejects. */
  #line = Promise.resolve();
  #rotation: Promise<KeyRotation> | undefined;

  constructor(parts: PostgresStoreParts) {
    this.#parts = parts;
    this.name = parts.name;
  }

  load(maxHistory?: number): Promise<StoredRegistry> {
    const { asks, name } = this.#parts;
    return this.#write(async ({ queries }) => {
      try {
        const stored = await queries.load(maxHistory);
        asks.queries.goOnWith(stored.epoch);
        return stored;
      } catch (error) {
        throw error instanceof UnsealError ? toOpenError(error, name) : error;
      }
    });
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#inLine(({ queries }) => queries.commit(request));
  }

  /** Never called: nodes renew their rows instead. */
  flush(): Promise<void> {
    throw new Error("signs of life in a shared store are the nodes' rows");
  }

  noteTokenUses(uses: readonly TokenUse[]): Promise<void> {
    return this.#inLine(({ queries }) => queries.noteTokenUses(uses));
  }

  tokenUses(): Promise<readonly TokenUse[]> {
    return this.#ask(({ queries }) => queries.tokenUses());
  }

  async compact(revision: bigint): Promise<void> {
    const slice = ({ queries }: Lane) => queries.compactSlice(revision);
    while (await this.#inLine(slice)) await new Promise(setImmediate); // others have their turn
  }

  appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    return this.#inLine(({ queries }) => queries.audit.append(entries));
  }

  readAudit(request: AuditRequest): Promise<AuditPage> {
    return this.#ask(({ queries }) => queries.audit.read(request));
  }

  async trimAudit(before: number): Promise<void> {
    const slice = ({ queries }: Lane) => queries.audit.trimSlice(before);
    while (await this.#write(slice)) await new Promise(setImmediate); // as in `compact`
  }

  rotateKeys(onStep: (step: RotationStep) => void): Promise<KeyRotation> {
    this.#rotation ??= this.#rotate(onStep).finally(() => {
      this.#rotation = undefined;
    });
    return this.#rotation;
  }

  #rotate(onStep: (step: RotationStep) => void): Promise<KeyRotation> {
    const { keys, random, writes } = this.#parts;
    const resealing = new Resealing({ db: writes.db, secrets: keys.secrets, isShared: true });
    const database: RotatedDatabase = {
      adopt: () => this.#inLine(({ queries }) => queries.adoptNewestKey()),
      reseal: () => this.#inLine(() => resealing.next()),
      purge: async () => {}, // PostgreSQL's to do: vacuum, and the log that is archived
    };
    return rotateKeys({ keys, isShared: true, database, random, onStep });
  }

  since(known: StorePoint): Promise<Since> {
    return this.#ask(({ queries }) => queries.since(known));
  }

  listen(onHint: () => void): Listening {
    const listening = this.#parts.listen(onHint);
    this.#listeners.add(listening);
    return listening;
  }

  spare(allowance: Allowance): Promise<number> {
    return this.#inLine(({ nodes }) => nodes.spare(allowance));
  }

  join(node: NodeInfo): Promise<Renewal> {
    return this.#ask(async ({ nodes }) => {
      await nodes.join(node);
      return nodes.renew(node.id);
    });
  }

  renew(nodeId: string): Promise<Renewal> {
    return this.#ask(({ nodes }) => nodes.renew(nodeId));
  }

  exchangeReports(nodeId: string, report: string): Promise<readonly string[]> {
    return this.#ask(async ({ nodes }) => {
      await nodes.writeReport(nodeId, report);
      return nodes.readReports(nodeId);
    });
  }

  bury(nodeId: string, allowance: Allowance, onlyIfDead: boolean): Promise<number | undefined> {
    return this.#inLine(({ nodes }) => nodes.bury(nodeId, allowance, onlyIfDead));
  }

  hold(nodeId: string, changes: HoldingChanges): Promise<void> {
    return this.#inLine(({ nodes }) => nodes.hold(nodeId, changes));
  }

  due(): Promise<readonly DueLease[]> {
    return this.#ask(({ nodes }) => nodes.due());
  }

  /** What runs is waited for: each of its statements has a deadline. */
  close(): Promise<void> {
    const { writes, asks } = this.#parts;
    const stopped = Promise.all([...this.#listeners].map((listening) => listening.stop()));
    return this.#usage.end(async () => {
      await Promise.all([stopped, writes.db.destroy(), asks.db.destroy()]);
    });
  }

  /**
   * One after the other, for what waits for the clock: a node that stops while it holds it
   * would otherwise hold it once more for each connection that it has in the line.
   */
  #inLine<T>(action: (lane: Lane) => Promise<T>): Promise<T> {
    const before = this.#line;
    const turn = this.#write((lane) => before.then(() => action(lane)));
    this.#line = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  #write<T>(action: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#use(this.#parts.writes, action);
  }

  #ask<T>(action: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#use(this.#parts.asks, action);
  }

  #use<T>(lane: Lane, action: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#usage.during(async () => {
      try {
        return await action(lane);
      } catch (error) {
        throw toUnavailable(error);
      }
    });
  }
}
