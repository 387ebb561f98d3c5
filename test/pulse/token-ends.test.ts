import { beforeEach, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { join } from "../../src/core/joining.js";
import { register } from "../../src/core/registration.js";
import { createToken, revokeToken } from "../../src/core/token-command.js";
import { startTokenEnds } from "../../src/pulse/token-ends.js";
import { hashOf, registerRequest } from "../support/decisions.js";
import { Fleet } from "../support/fleet.js";
import { FleetNode } from "../support/fleet-node.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { SharedDatabase } from "../support/shared-memory-store.js";
import { RequestFeed } from "./request-feed.js";

let fleet: Fleet;
/** What was ended, with its reason. */
let ended: string[];
/** Tokens with which streams are open. */
const OPEN = ["one", "two", "three"];
beforeEach(async () => {
  fleet = await Fleet.start();
  ended = [];
  startTokenEnds({
    registry: fleet.registry,
    clock: fleet.clock,
    streams: [{ end: noteEnds }],
  });
});

function noteEnds(error: unknown, isOf: (tokenId: string) => boolean): void {
  const reason =
    error instanceof DomainError && "reason" in error.refusal ? error.refusal.reason : "?";
  for (const id of OPEN) if (isOf(id)) ended.push(`${id}: ${reason}`);
}

/** @param endsInMs from now on */
async function create(id: string, endsInMs?: number): Promise<void> {
  const expiresAt = endsInMs === undefined ? undefined : fleet.clock.wallNow() + endsInMs;
  const made = createToken({ id, name: id, scopes: ["observe"], hash: `h ${id}`, expiresAt });
  const created = fleet.registry.run(made);
  await settle();
  await created;
}

it("streams of a token that is revoked end with the commit, and no others", async () => {
  for (const id of OPEN) await create(id);
  expect(ended).toEqual([]);
  const revoked = fleet.registry.run(revokeToken("two", "one"));
  await settle();
  await revoked;
  expect(ended).toEqual(["two: TOKEN_INVALID"]);
});

it("streams of a token that gets another secret end", async () => {
  await create("join");
  const joined = (n: number) => {
    const own = { id: "one", hashFor: (id: string) => `${n} ${id}` };
    return fleet.registry.run(
      join(register(registerRequest(), hashOf, { maxServices: 9 }), "join", own),
    );
  };
  for (const n of [1, 2]) {
    const joining = joined(n);
    await settle();
    await joining;
    expect(ended).toEqual(n === 1 ? [] : ["one: TOKEN_INVALID"]);
  }
});

it("streams end within a second of their token's end, in whatever order tokens were made", async () => {
  await create("one", 60_000);
  await create("two", 10_000);
  await create("three");
  await fleet.clock.advance(9_900);
  expect(ended).toEqual([]);
  await fleet.clock.advance(1_000);
  expect(ended).toEqual(["two: TOKEN_EXPIRED"]);
  await fleet.clock.advance(48_000);
  expect(ended).toEqual(["two: TOKEN_EXPIRED"]);
  await fleet.clock.advance(2_000);
  // Streams of the first are gone by then; here they are asked for once more.
  expect(ended.slice(1).sort()).toEqual(["one: TOKEN_EXPIRED", "two: TOKEN_EXPIRED"]);
});

it("the end is by the wall clock, also when that is set forth and back", async () => {
  const startAt = fleet.clock.wallNow();
  await create("one", 3_600_000);
  fleet.clock.setWall(startAt + 3_600_000);
  await fleet.clock.advance(500);
  expect(ended).toEqual(["one: TOKEN_EXPIRED"]);
  fleet.clock.setWall(startAt);
  await fleet.clock.advance(500);
  ended = [];
  fleet.clock.setWall(startAt + 3_600_000);
  await fleet.clock.advance(500);
  expect(ended).toEqual(["one: TOKEN_EXPIRED"]);
});

it("a heartbeat stream on another node ends as soon as the commit gets there", async () => {
  const clock = new ManualClock();
  const database = new SharedDatabase(clock);
  const [here, there] = [
    await FleetNode.start(clock, database),
    await FleetNode.start(clock, database),
  ];
  await here.engine.registry.run(
    createToken({ id: "one", name: "one", scopes: ["register"], hash: "h" }),
  );
  await clock.advance(1_000);
  const opener = { tokenId: "one", instanceId: "" };
  const stream = there.engine.streams.open(new RequestFeed(), opener)[Symbol.asyncIterator]();
  const next = stream.next();
  next.catch(() => {});
  await here.engine.registry.run(revokeToken("one", "two"));
  await clock.advance(1_000);
  await expect(next).rejects.toThrow("the token is not valid");
});
