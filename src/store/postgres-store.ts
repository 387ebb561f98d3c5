import type { Kysely } from "kysely";
import { UnsealError } from "../lib/sealing.js";
import type { NodeQueries } from "./node-queries.js";
import { toOpenError, toUnavailable } from "./postgres-errors.js";
import type { Queries } from "./queries.js";
import type { Schema } from "./schema.js";
import {
  type Allowance,
  type CommitRequest,
  type DueLease,
  type HoldingChanges,
  type Listening,
  type NodeInfo,
  type Renewal,
  type SharedStore,
  type Since,
  type Store,
  type StoredRegistry,
  type StorePoint,
  StoreUnavailableError,
} from "./store.js";

/** One way to the database: what is asked on it is given up after the same time. */
export interface Lane {
  readonly db: Kysely<Schema>;
  readonly queries: Queries;
  readonly nodes: NodeQueries;
}

export interface PostgresStoreParts {
  readonly name: string;
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
  #closing: Promise<void> | undefined;

  constructor(parts: PostgresStoreParts) {
    this.#parts = parts;
    this.name = parts.name;
  }

  async load(maxHistory?: number): Promise<StoredRegistry> {
    const { writes, asks, name } = this.#parts;
    try {
      const stored = await writes.queries.load(maxHistory);
      asks.queries.goOnWith(stored.epoch);
      return stored;
    } catch (error) {
      if (error instanceof UnsealError) throw toOpenError(error, name);
      throw toUnavailable(error);
    }
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#write(({ queries }) => queries.commit(request));
  }

  /** Never called: nodes renew their rows instead. */
  flush(): Promise<void> {
    throw new Error("signs of life in a shared store are the nodes' rows");
  }

  compact(revision: bigint): Promise<void> {
    return this.#write(({ queries }) => queries.compact(revision));
  }

  since(known: StorePoint): Promise<Since> {
    return this.#ask(({ queries }) => queries.since(known));
  }

  listen(onHint: () => void): Listening {
    const listening = this.#parts.listen(onHint);
    this.#listeners.add(listening);
    return listening;
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
    return this.#write(({ nodes }) => nodes.bury(nodeId, allowance, onlyIfDead));
  }

  hold(nodeId: string, changes: HoldingChanges): Promise<void> {
    return this.#write(({ nodes }) => nodes.hold(nodeId, changes));
  }

  due(): Promise<readonly DueLease[]> {
    return this.#ask(({ nodes }) => nodes.due());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #write<T>(action: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#use(this.#parts.writes, action);
  }

  #ask<T>(action: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#use(this.#parts.asks, action);
  }

  async #use<T>(lane: Lane, action: (lane: Lane) => Promise<T>): Promise<T> {
    if (this.#closing) throw new StoreUnavailableError("the store is closed");
    try {
      return await action(lane);
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#listeners].map((listening) => listening.stop()));
    await Promise.all([this.#parts.writes.db.destroy(), this.#parts.asks.db.destroy()]);
  }
}
