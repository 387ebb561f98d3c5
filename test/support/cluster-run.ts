import type { Commit } from "../../src/core/change.js";
import { Cluster, type ClusterNode } from "./cluster.js";
import { ClusterFleet } from "./cluster-fleet.js";
import { ClusterWatchers } from "./cluster-watchers.js";
import { ClusterWriters } from "./cluster-writers.js";
import { eventually } from "./eventually.js";
import type { DatabaseHistory } from "./watch-database.js";

/** A service that turned OFFLINE. */
export interface WentOffline {
  readonly id: string;
  readonly commit: Commit;
}

/** What became of a run, as its database tells it. */
export interface ClusterVerdict {
  /** All that is wrong, by name: each should be empty. */
  readonly broken: Readonly<Record<string, readonly string[]>>;
  readonly offline: readonly WentOffline[];
}

/** Three nodes, a fleet of 200 on them, someone who writes to each and someone who watches each. */
export class ClusterRun {
  private constructor(
    readonly cluster: Cluster,
    /** Of scopes `register` and `discover`, on all nodes. */
    readonly token: string,
    readonly fleet: ClusterFleet,
    readonly watchers: ClusterWatchers,
    readonly writers: ClusterWriters,
  ) {}

  /** @param ttlMsOf the TTL of each of the fleet */
  static async start(ttlMsOf: (n: number) => number): Promise<ClusterRun> {
    const cluster = await Cluster.start();
    try {
      const token = await cluster.node(0).token("service");
      const watchers = new ClusterWatchers(cluster.nodes, token);
      const fleet = await ClusterFleet.start(200, cluster.addresses, token, ttlMsOf);
      const writers = new ClusterWriters(cluster.nodes, token, { perNode: 1, pauseMs: 200 });
      return new ClusterRun(cluster, token, fleet, watchers, writers);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The node that has most of the fleet: one that is slow to accept gets fewer. */
  busiest(): ClusterNode {
    const { nodes } = this.cluster;
    const [busiest] = nodes.toSorted((a, b) => this.fleet.on(b).length - this.fleet.on(a).length);
    return busiest as ClusterNode;
  }

  /** Waits until each node writes, and all of the fleet are on one. */
  async isWhole(): Promise<void> {
    const since = performance.now();
    for (const node of this.cluster.nodes)
      await eventually(() => {
        const writes = this.writers.between(since, Number.POSITIVE_INFINITY, [node]);
        if (writes.every(({ outcome }) => outcome !== "ok"))
          throw new Error(`${node.name} does not write: ${writes.at(-1)?.outcome}`);
      }, 20_000);
    await this.fleet.isWhole(25_000);
  }

  /** Waits until the nodes have written down whose streams they have: until then they promise nobody much. */
  claimed(): Promise<void> {
    return eventually(async () => {
      const [row] = await this.cluster.ask<{ count: string }>(
        `select count(*) from services
         where node_id is null and status <> 'offline' and instance_id not like 'written-on-%'`,
      );
      if (row?.count !== "0") throw new Error(`${row?.count} are nobody's`);
    });
  }

  /** Ends the writing, and says what happened. All nodes must be well. */
  async verdict(): Promise<ClusterVerdict> {
    const { cluster, fleet, watchers, writers } = this;
    await writers.stop();
    await watchers.settle();
    const history = await cluster.history();
    const known = new Set(history.commits.map(({ revision }) => revision));
    const lost = writers.writes.flatMap(({ revision }) =>
      revision !== undefined && !known.has(revision) ? [`${revision} is lost`] : [],
    );
    return {
      broken: {
        stored: history.broken,
        written: lost,
        fleet: fleet.broken,
        fresh: watchers.fresh,
        ...(await watchers.broken(history.history)),
      },
      offline: turnsOffline(history),
    };
  }

  async stop(): Promise<void> {
    await this.writers.stop();
    await this.watchers.stop();
    await this.fleet.stop();
    await this.cluster.stop();
  }
}

function turnsOffline({ commits }: DatabaseHistory): readonly WentOffline[] {
  const status = new Map<string, string>();
  return commits.flatMap((commit) =>
    commit.services.flatMap((service) => {
      const turns = service.status === "offline" && status.get(service.id) !== "offline";
      status.set(service.id, service.status);
      return turns ? [{ id: service.id, commit }] : [];
    }),
  );
}
