import { clone, toJsonString } from "@bufbuild/protobuf";
import { vi } from "vitest";
import {
  type DownloadClient,
  type DownloadClientOverrides,
  DownloadClientSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import { type Service, ServiceSchema } from "../../gen/pulse/v1/service_pb.js";
import { Catalog } from "../../src/core/catalog.js";
import { downloadClientOf, serviceOf } from "../../src/pulse/convert.js";
import { writeResumeToken } from "../../src/pulse/resume-token.js";
import { SqliteStore } from "../../src/store/sqlite-store.js";
import {
  placeOf,
  type State,
  stateDifference,
  type TrueCommit,
  type Truth,
} from "./watch-recording.js";

export type Topic = "entries" | "services";

/** What some watcher should see of a topic. */
export interface View<Item> {
  readonly matches: (item: Item) => boolean;
  readonly withCredentials: boolean;
}

/** The registry right after one commit. */
interface Moment {
  readonly token: string;
  readonly revision: bigint;
  readonly parent: Moment | undefined;
  readonly entries: ReadonlyMap<string, DownloadClient>;
  readonly services: ReadonlyMap<string, Service>;
}

/**
 * What was really committed: the whole registry at every commit, made from what the
 * store was given and from nothing that watches are made of. It sees the stores of
 * all Pulses of this process while it is installed.
 */
export class TrueHistory {
  readonly #moments = new Map<string, Moment>();
  /** What a store read that is not what was committed to it. */
  readonly broken: string[] = [];
  readonly #restore: () => void;

  constructor() {
    const { load, commit } = SqliteStore.prototype;
    const open = new WeakMap<SqliteStore, { catalog: Catalog; epoch: string; newest: Moment }>();
    const history = this;
    const loading = vi.spyOn(SqliteStore.prototype, "load").mockImplementation(async function (
      this: SqliteStore,
      maxHistory,
    ) {
      const stored = await load.call(this, maxHistory);
      const catalog = Catalog.load(stored);
      open.set(this, { catalog, epoch: stored.epoch, newest: history.#opened(catalog, stored) });
      return stored;
    });
    const committing = vi.spyOn(SqliteStore.prototype, "commit").mockImplementation(async function (
      this: SqliteStore,
      commits,
      previous,
    ) {
      await commit.call(this, commits, previous);
      const store = open.get(this);
      for (const { stamp, revision, ...records } of store ? commits : []) {
        if (!store) continue;
        store.catalog.apply({ stamp, revision, ...records });
        const point = { epoch: store.epoch, revision, stamp };
        store.newest = history.#add(momentOf(store.catalog, point, store.newest));
      }
    });
    this.#restore = () => {
      loading.mockRestore();
      committing.mockRestore();
    };
  }

  /** To be called at the end. */
  uninstall(): void {
    this.#restore();
  }

  /** How many commits were seen. */
  get size(): number {
    return this.#moments.size;
  }

  entries(view: View<DownloadClient>): Truth {
    return this.#truth((moment) => textsOf(moment.entries, view, entryText));
  }

  services(view: View<Service>): Truth {
    return this.#truth((moment) => textsOf(moment.services, view, serviceText));
  }

  #truth(stateOf: (moment: Moment) => State): Truth {
    const states = new Map<Moment, State>();
    const cached = (moment: Moment) => {
      const state = states.get(moment) ?? stateOf(moment);
      states.set(moment, state);
      return state;
    };
    return {
      stateAt: (token) => {
        const moment = this.#moments.get(placeOf(token));
        return moment && cached(moment);
      },
      between: (from, to) => {
        const commits: TrueCommit[] = [];
        let moment = this.#moments.get(placeOf(to));
        for (; moment && moment.token !== placeOf(from); moment = moment.parent) {
          const before = moment.parent ? cached(moment.parent) : new Map<string, string>();
          const after = cached(moment);
          const ids = [...new Set([...before.keys(), ...after.keys()])].filter(
            (id) => before.get(id) !== after.get(id),
          );
          commits.unshift({ revision: moment.revision, ids });
        }
        return moment && commits;
      },
    };
  }

  #opened(
    catalog: Catalog,
    { epoch, revision, stamp }: { epoch: string; revision: bigint; stamp: string },
  ): Moment {
    const read = momentOf(catalog, { epoch, revision, stamp }, undefined);
    const written = this.#moments.get(read.token);
    if (!written) return this.#add(read);
    const all = { matches: () => true, withCredentials: true };
    const difference =
      stateDifference(
        textsOf(read.entries, all, entryText),
        textsOf(written.entries, all, entryText),
      ) ??
      stateDifference(
        textsOf(read.services, all, serviceText),
        textsOf(written.services, all, serviceText),
      );
    if (difference !== undefined) this.broken.push(`read at ${revision}: ${difference}`);
    return written;
  }

  #add(moment: Moment): Moment {
    this.#moments.set(moment.token, moment);
    return moment;
  }
}

function momentOf(
  catalog: Catalog,
  point: { readonly epoch: string; readonly revision: bigint; readonly stamp: string },
  parent: Moment | undefined,
): Moment {
  const entries = [...catalog.entries()].map((resolved) => {
    const { entry, service } = resolved;
    return [
      entry.id,
      once(entry, service ?? entry, () => downloadClientOf(resolved, undefined, true)),
    ];
  });
  const services = [...catalog.services()].map((service) => [
    service.id,
    once(service, service, () => serviceOf(service, 0)),
  ]);
  return {
    token: writeResumeToken(point),
    revision: point.revision,
    parent,
    entries: new Map(entries as [string, DownloadClient][]),
    services: new Map(services as [string, Service][]),
  };
}

/** Records never change: the message of one, or of two together, is made once. */
const messages = new WeakMap<object, WeakMap<object, unknown>>();

function once<Message>(record: object, other: object, make: () => Message): Message {
  let byOther = messages.get(record);
  if (!byOther) {
    byOther = new WeakMap();
    messages.set(record, byOther);
  }
  const made = (byOther.get(other) as Message | undefined) ?? make();
  byOther.set(other, made);
  return made;
}

function textsOf<Item>(
  items: ReadonlyMap<string, Item>,
  { matches, withCredentials }: View<Item>,
  textOf: (item: Item, withCredentials: boolean) => string,
): State {
  return new Map(
    [...items]
      .filter(([, item]) => matches(item))
      .map(([id, item]) => [id, textOf(item, withCredentials)]),
  );
}

/** All of an entry but its load, which is no change; without credentials unless they may be seen. */
export function entryText(entry: DownloadClient, withCredentials = true): string {
  const shown = clone(DownloadClientSchema, entry);
  delete shown.load;
  if (!withCredentials) {
    shown.username = "";
    shown.password = "";
    if (shown.overrides) withoutCredentials(shown.overrides);
  }
  return toJsonString(DownloadClientSchema, shown);
}

function withoutCredentials(overrides: DownloadClientOverrides): void {
  delete overrides.username;
  delete overrides.password;
}

/** All of a service but its last sign of life, which is no change. */
export function serviceText(service: Service): string {
  const shown = clone(ServiceSchema, service);
  delete shown.lastSeenTime;
  return toJsonString(ServiceSchema, shown);
}
