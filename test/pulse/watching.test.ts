import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Availability, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType, SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { type Command, commitOf } from "../../src/core/decision.js";
import { newOperatorFields } from "../../src/core/entry.js";
import { createEntry, deleteEntry, restoreEntry } from "../../src/core/entry-command.js";
import { DomainError } from "../../src/core/errors.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { type EntryTraits, matchesEntry } from "../../src/core/filter.js";
import { deregister } from "../../src/core/registration.js";
import { createToken } from "../../src/core/token-command.js";
import { readResumeToken, writeResumeToken } from "../../src/pulse/resume-token.js";
import { invalidToken } from "../../src/pulse/tokens.js";
import type { WatchPolicy } from "../../src/pulse/watch-hub.js";
import type { Watcher } from "../../src/pulse/watcher.js";
import { Fleet, RecordingStream } from "../support/fleet.js";
import { FleetNode } from "../support/fleet-node.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { SharedDatabase } from "../support/shared-memory-store.js";
import { Reader } from "./toy-topic.js";

type Response = WatchDownloadClientsResponse | WatchServicesResponse;

/** A response in one line, and beside it the response. */
class Told {
  constructor(readonly response: Response) {}
  get token(): string {
    return this.response.resumeToken;
  }
  get text(): string {
    const { event, revision } = this.response;
    switch (event.case) {
      case "snapshot": {
        const items =
          "downloadClients" in event.value ? event.value.downloadClients : event.value.services;
        return `${SnapshotReason[event.value.reason]} [${items.map(nameOf).join(" ")}] @${revision}`;
      }
      case "change": {
        const { type, reason } = event.value;
        const { downloadClient, service } = {
          service: undefined,
          downloadClient: undefined,
          ...event.value,
        };
        const item = downloadClient ?? service;
        return `${ChangeType[type]} ${item && nameOf(item)} (${reason}) @${revision}`;
      }
      default:
        return `${event.case} @${revision}`;
    }
  }
}

function nameOf(item: { readonly id: string } & object): string {
  if ("availability" in item) {
    const { name, availability, availabilityReason } = item as unknown as DownloadClient;
    return availability === Availability.UNSPECIFIED
      ? name
      : `${name}:${Availability[availability]}:${availabilityReason}`;
  }
  const { status, statusReason } = item as unknown as { status: number; statusReason: string };
  return status ? `${ServiceStatus[status]}:${statusReason}` : "gone";
}

/** The same watcher, of lines. */
function told(watcher: Watcher<Response>): Reader<Told> {
  const lines = {
    next: async () => {
      const { done, value } = await watcher.next();
      return done ? { done, value } : { done: false, value: new Told(value) };
    },
    return: () => watcher.return(),
  };
  return new Reader(lines as unknown as Watcher<Told>);
}

interface Wanted {
  readonly token?: string;
  readonly withCredentials?: boolean;
  readonly tokenId?: string;
  readonly matches?: (traits: EntryTraits) => boolean;
}

function watchEntries(fleet: Fleet, wanted: Wanted = {}): Reader<Told> {
  const { token = "", withCredentials = false, tokenId = "token-1", matches } = wanted;
  return told(
    fleet.watching.downloadClients.watch({
      matches: matches ?? (() => true),
      withCredentials,
      filterKey: String(matches),
      resumeToken: token,
      tokenId,
    }) as Watcher<Response>,
  );
}

function watchServices(fleet: Fleet, token = "", tokenId = "token-1"): Reader<Told> {
  return told(
    fleet.watching.services.watch({
      matches: () => true,
      withCredentials: false,
      filterKey: "",
      resumeToken: token,
      tokenId,
    }) as Watcher<Response>,
  );
}

async function run<Outcome>(fleet: Fleet, command: Command<Outcome>): Promise<Outcome> {
  const outcome = fleet.registry.run(command);
  await settle();
  return outcome;
}

const leave = (fleet: Fleet, n: number) =>
  run(fleet, deregister({ instanceId: `i${n}`, secretHash: `h${n}`, isAdmin: false }));

/** A token of that revision, which must be that of a commit in the store, or 0. */
function tokenOf(fleet: Fleet, revision: bigint): string {
  const stamp = fleet.store.commits.find((commit) => commit.revision === revision)?.stamp ?? "";
  return writeResumeToken({ epoch: fleet.registry.epoch, revision, stamp });
}

/** Bookmarks come when a test asks for them. */
const start = (watch: Partial<WatchPolicy> = {}) =>
  Fleet.start({}, { watch: { bookmarkIntervalMs: 1e9, ...watch } });
const target = {
  kind: "qbittorrent",
  protocol: "torrent" as const,
  host: "nas",
  port: 8080,
  useSsl: false,
  urlBase: "",
  username: "",
  password: "",
  ...NO_FILE_PLACES,
};
const manual = (name: string, by = "ops") =>
  createEntry({ fields: newOperatorFields(name), target }, by);

describe("the life of a download client", () => {
  it("is told with its reasons, to watchers of entries and to those of services", async () => {
    const fleet = await start();
    const entries = watchEntries(fleet);
    const services = watchServices(fleet);
    const told = [await entries.read(), await services.read()];
    async function following(step: Promise<unknown> | undefined): Promise<void> {
      await step;
      told[0]?.push(...(await entries.read()));
      told[1]?.push(...(await services.read()));
    }
    await following(fleet.register(1));
    const { leaseId } = await fleet.register(1);
    await following(undefined);
    fleet.heartbeat(leaseId, new RecordingStream(), "degraded", "disk full");
    await following(settle());
    await following(fleet.clock.advance(16_000));
    await following(fleet.register(1));
    await following(leave(fleet, 1));
    await following(leave(fleet, 1));
    expect(told).toEqual([
      [
        "FIRST [] @0",
        "PUT haul:ONLINE:registered (registered) @1",
        // Nothing of the second Register: managers would see no difference.
        "PUT haul:DEGRADED:disk full (status reported) @3",
        "PUT haul:OFFLINE:expired (expired) @4",
        "PUT haul:ONLINE:re-registered (re-registered) @5",
        "DELETE haul (deregistered) @6",
      ],
      [
        "FIRST [] @0",
        "PUT ONLINE:registered (registered) @1",
        "PUT ONLINE:registered (re-registered) @2",
        "PUT DEGRADED:disk full (status reported) @3",
        "PUT OFFLINE:expired (expired) @4",
        "PUT ONLINE:re-registered (re-registered) @5",
        "DELETE gone (deregistered) @6",
      ],
    ]);
  });

  it("that an operator deletes ends for watchers, until he restores it while it is there", async () => {
    const fleet = await start();
    await fleet.register(1);
    const id = fleet.registry.catalog.entryNamed("haul")?.id ?? "";
    const open = watchEntries(fleet);
    const told = await open.read();
    for (const step of [
      () => run(fleet, deleteEntry(id, "", "ops")),
      () => fleet.register(1, { status: "degraded" }),
      () => leave(fleet, 1),
      () => run(fleet, restoreEntry(id, "ops")),
      () => fleet.register(1),
    ]) {
      await step();
      told.push(...(await open.read()));
    }
    expect(told).toEqual([
      "FIRST [haul:ONLINE:registered] @1",
      "DELETE haul (deleted by ops) @2",
      "PUT haul:ONLINE:registered (registered) @6",
    ]);
  });
});

describe("a message", () => {
  it("has the load of the last heartbeat, as lists do, and none once the lease is over", async () => {
    const fleet = await start();
    const { leaseId } = await fleet.register(1);
    const open = watchEntries(fleet);
    await open.read();
    const load = create(LoadSchema, { active: 3 });
    fleet.report({ leaseId, status: "degraded", load });
    await settle();
    await open.read();
    await fleet.clock.advance(16_000);
    await open.read();
    const loads = open.responses.map(({ response: { event } }) =>
      event.case === "change" && "downloadClient" in event.value
        ? event.value.downloadClient?.load?.active
        : "none",
    );
    expect(loads).toEqual(["none", 3, undefined]);
  });

  it("has credentials for those alone who may see them", async () => {
    const fleet = await start();
    const trusted = watchEntries(fleet, { withCredentials: true });
    const others = watchEntries(fleet);
    await fleet.register(1, { username: "planted-user", apiKey: "planted-key" });
    const resumed = watchEntries(fleet, { token: tokenOf(fleet, 0n) });
    const late = watchEntries(fleet);
    for (const open of [trusted, others, resumed, late]) await open.read();
    const text = (open: Reader<Told>) =>
      JSON.stringify(
        open.responses.map(({ response }) => response),
        (_, value) => (typeof value === "bigint" ? String(value) : value),
      );
    expect(text(trusted)).toContain("planted-user");
    expect(text(trusted)).toContain("planted-key");
    for (const open of [others, resumed, late]) expect(text(open)).not.toContain("planted");
  });

  it("says in snapshots and bookmarks how often something will come", async () => {
    const fleet = await start({ bookmarkIntervalMs: 2_500 });
    const open = [watchEntries(fleet), watchServices(fleet)];
    for (const each of open) await each.read();
    await fleet.register(1);
    for (const each of open) await each.read();
    await fleet.clock.advance(2_500);
    for (const each of open) {
      await each.read();
      expect(
        each.responses.map(({ response }) => [response.event.case, response.bookmarkInterval]),
      ).toMatchObject([
        ["snapshot", { seconds: 2n, nanos: 500_000_000 }],
        ["change", undefined],
        ["bookmark", { seconds: 2n, nanos: 500_000_000 }],
      ]);
    }
  });
});

describe("a commit of several entries", () => {
  /** Nothing of Pulse does that yet; the contract allows for it. */
  const several = (...names: string[]): Command<void> => {
    return (context) => {
      const made = names.map((name) => {
        const { commit } = manual(name)(context);
        if (!commit) throw new Error("it changes nothing");
        return commit;
      });
      const changes = made.flatMap((commit) => commit.changes);
      const entries = made.flatMap((commit) => commit.entries);
      const reason = made[0]?.reason ?? "registered";
      return { commit: commitOf(context, reason, changes, { entries }), outcome: undefined };
    };
  };
  const seen = "ONLINE:made by hand, not watched";

  it("is seen whole: its token comes with the last of them, also after a resume", async () => {
    const fleet = await start();
    const open = watchEntries(fleet);
    await run(fleet, several("a", "b", "c"));
    await run(fleet, manual("d"));
    expect(await open.read()).toEqual([
      "FIRST [] @0",
      `PUT a:${seen} (created by ops) @1`,
      `PUT b:${seen} (created by ops) @1`,
      `PUT c:${seen} (created by ops) @1`,
      `PUT d:${seen} (created by ops) @2`,
    ]);
    const revisions = (reader: Reader<Told>) =>
      reader.responses.map(({ token }) => readResumeToken(token).revision);
    expect(revisions(open)).toEqual([0n, 0n, 0n, 1n, 2n]);

    // Broken off in the middle, it comes again from the beginning.
    const again = watchEntries(fleet, { token: open.responses[1]?.token ?? "" });
    expect(await again.read()).toEqual([
      ...open.responses.slice(1).map(({ text }) => text),
      "bookmark @2",
    ]);
    expect(revisions(again)).toEqual([0n, 0n, 0n, 2n, 2n]);
  });
});

describe("after a restart of Pulse", () => {
  it("a watcher resumes where it was, and is told of all that it may have had", async () => {
    const fleet = await start();
    await run(fleet, manual("kept"));
    await run(fleet, manual("goes"));
    const open = watchEntries(fleet);
    await open.read();
    await run(fleet, manual("comes and goes"));
    for (const name of ["goes", "comes and goes"])
      await run(fleet, deleteEntry(fleet.registry.catalog.entryNamed(name)?.id ?? "", "", "ops"));
    await fleet.restart("kill", 1_000);
    const resumed = watchEntries(fleet, { token: open.token });
    // What filters would have seen is forgotten, so nothing is left out.
    expect(await resumed.read()).toEqual([
      "DELETE  (deleted by ops) @4",
      "DELETE  (deleted by ops) @5",
      "bookmark @5",
    ]);
  });

  it("on an older copy of the database it gets a snapshot, before and after that copy has caught up", async () => {
    const fleet = await start();
    await run(fleet, manual("a"));
    const open = watchEntries(fleet);
    await open.read();
    for (const name of ["lost", "lost too"]) await run(fleet, manual(name));
    await open.read();
    const { token } = open;
    fleet.store.commits.splice(1); // back to revision 1
    await fleet.restart("kill", 1_000);
    const early = watchEntries(fleet, { token, matches: ({ kind }) => kind === "none" });
    expect(await early.read()).toEqual(["FUTURE [] @1"]);
    for (const name of ["new", "newer"]) {
      // Random goes on in another process: not the same stamps again.
      await run(fleet, createToken({ id: `t-${name}`, name, scopes: ["observe"], hash: "x" }));
      await run(fleet, manual(name));
    }
    const late = watchEntries(fleet, { token, matches: ({ kind }) => kind === "none" });
    expect(await late.read()).toEqual(["OTHER_HISTORY [] @5"]);
  });
});

describe("watches end", () => {
  const refusalOf = (error: unknown) => (error instanceof DomainError ? error.refusal : error);

  it("that were opened with some bearer tokens, and no others", async () => {
    const fleet = await start();
    const mine = [watchEntries(fleet, { tokenId: "one" }), watchServices(fleet, "", "one")];
    const yours = watchEntries(fleet, { tokenId: "two" });
    fleet.watching.end(invalidToken(), (tokenId) => tokenId === "one");
    for (const open of mine)
      expect(refusalOf(await open.end())).toEqual({
        kind: "unauthenticated",
        reason: "TOKEN_INVALID",
      });
    expect(await yours.read()).toEqual(["FIRST [] @0"]);
  });

  it("with the time to come back when Pulse drains, and its timer with them", async () => {
    const fleet = await start();
    await fleet.expiry.stop();
    const before = fleet.clock.pending;
    const open = [watchEntries(fleet), watchServices(fleet)];
    fleet.watching.drain(1_000);
    for (const each of open)
      expect(refusalOf(await each.end())).toEqual({ kind: "draining", retryAfterMs: 1_000 });
    expect(fleet.clock.pending).toBe(before - 1);
    expect(fleet.watching.services.size + fleet.watching.downloadClients.size).toBe(0);
  });
});

it("a filter of entries makes a DELETE of one that does not match any more", async () => {
  const fleet = await start();
  const filter = {
    protocol: undefined,
    kinds: [],
    availabilities: ["online" as const],
    credentialStates: [],
  };
  const open = watchEntries(fleet, {
    matches: (traits) => matchesEntry({ ...filter, enabled: true }, traits),
  });
  await fleet.register(1);
  const told = await open.read();
  await fleet.clock.advance(16_000);
  told.push(...(await open.read()));
  await fleet.register(1);
  told.push(...(await open.read()));
  expect(told).toEqual([
    "FIRST [] @0",
    "PUT haul:ONLINE:registered (registered) @1",
    "DELETE haul (expired) @2",
    "PUT haul:ONLINE:re-registered (re-registered) @3",
  ]);
});

it("a history that was loaded anew ends all watches, which are told to resume", async () => {
  const clock = new ManualClock();
  const database = new SharedDatabase(clock);
  const [a, b] = [await FleetNode.start(clock, database), await FleetNode.start(clock, database)];
  const watchers = [a.engine.watching.services, a.engine.watching.downloadClients].map((hub) =>
    hub.watch({
      matches: () => true,
      withCredentials: false,
      filterKey: "",
      resumeToken: "",
      tokenId: "t",
    }),
  );
  a.store.isCutOff = true;
  await b.register(1);
  database.compact(1n);
  a.store.isCutOff = false;
  await clock.advance(1_500);
  for (const watcher of watchers)
    await expect(watcher.next()).rejects.toMatchObject({ refusal: { kind: "lagging" } });
  expect(a.engine.watching.services.size).toBe(0);
});
