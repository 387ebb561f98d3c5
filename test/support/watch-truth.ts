import { clone, toJsonString } from "@bufbuild/protobuf";
import {
  type DownloadClient,
  type DownloadClientOverrides,
  DownloadClientSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import { type Service, ServiceSchema } from "../../gen/pulse/v1/service_pb.js";
import type { Catalog } from "../../src/core/catalog.js";
import { downloadClientOf, serviceOf } from "../../src/pulse/convert.js";
import { writeResumeToken } from "../../src/pulse/resume-token.js";
import {
  placeOf,
  type State,
  stateDifference,
  type TrueCommit,
  type Truth,
} from "./watch-recording.js";

/** What is no change is not compared. */
const NO_SIGNS = { load: undefined, verifiedAt: undefined };

export type Topic = "entries" | "services";

/** What some watcher should see of a topic. */
export interface View<Item> {
  readonly matches: (item: Item) => boolean;
  readonly withCredentials: boolean;
}

/** The registry right after one commit. */
export interface Moment {
  readonly point: PointOfHistory;
  /** A resume token that names the commit. */
  readonly token: string;
  readonly parent: Moment | undefined;
  readonly entries: ReadonlyMap<string, DownloadClient>;
  readonly services: ReadonlyMap<string, Service>;
}

/** A commit's place, and the registry's epoch. */
export interface PointOfHistory {
  readonly epoch: string;
  readonly revision: bigint;
  readonly stamp: string;
}

/**
 * What was really committed: the whole registry at every commit, made from what was
 * stored and from nothing that watches are made of.
 */
export class TrueHistory {
  readonly #moments = new Map<string, Moment>();

  /** How many commits were seen. */
  get size(): number {
    return this.#moments.size;
  }

  /** The registry as it is right after a commit that follows `parent`. */
  add(catalog: Catalog, point: PointOfHistory, parent: Moment | undefined): Moment {
    const moment = momentOf(catalog, point, parent);
    this.#moments.set(moment.token, moment);
    return moment;
  }

  /** The moment of that commit, which is there already. */
  at(point: PointOfHistory): Moment | undefined {
    return this.#moments.get(writeResumeToken(point));
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
          commits.unshift({ revision: moment.point.revision, ids });
        }
        return moment && commits;
      },
    };
  }
}

/** In what the registry differs from what it was at that moment; undefined: in nothing. */
export function catalogDifference(catalog: Catalog, moment: Moment): string | undefined {
  const read = momentOf(catalog, moment.point, undefined);
  const all = { matches: () => true, withCredentials: true };
  return (
    stateDifference(
      textsOf(read.entries, all, entryText),
      textsOf(moment.entries, all, entryText),
    ) ??
    stateDifference(
      textsOf(read.services, all, serviceText),
      textsOf(moment.services, all, serviceText),
    )
  );
}

function momentOf(catalog: Catalog, point: PointOfHistory, parent: Moment | undefined): Moment {
  const entries = [...catalog.entries()].map((resolved) => {
    const { entry, service } = resolved;
    return [
      entry.id,
      once(entry, service ?? entry, () => downloadClientOf(resolved, NO_SIGNS, true)),
    ];
  });
  const services = [...catalog.services()].map((service) => [
    service.id,
    once(service, service, () => serviceOf(service, 0)),
  ]);
  return {
    point,
    token: writeResumeToken(point),
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

/** Of messages, which never change either: most of a registry is the same after each commit. */
const textsWithCredentials = new WeakMap<object, string>();
const textsWithout = new WeakMap<object, string>();

function textsOf<Item extends object>(
  items: ReadonlyMap<string, Item>,
  { matches, withCredentials }: View<Item>,
  textOf: (item: Item, withCredentials: boolean) => string,
): State {
  const texts = withCredentials ? textsWithCredentials : textsWithout;
  const cached = (item: Item) => {
    const text = texts.get(item) ?? textOf(item, withCredentials);
    texts.set(item, text);
    return text;
  };
  return new Map(
    [...items].filter(([, item]) => matches(item)).map(([id, item]) => [id, cached(item)]),
  );
}

/** All of an entry but its load and when it was verified, which are no change; without credentials unless they may be seen. */
export function entryText(entry: DownloadClient, withCredentials = true): string {
  const shown = clone(DownloadClientSchema, entry);
  delete shown.load;
  delete shown.lastVerifiedTime;
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
