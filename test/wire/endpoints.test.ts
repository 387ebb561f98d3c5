import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../src/wire/endpoint-lookup.js";
import { Endpoints, isFaultOfEndpoint } from "../../src/wire/endpoints.js";
import { ManualClock } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";

const ADDRESSES = ["http://10.0.0.1:9696", "http://10.0.0.2:9696", "http://10.0.0.3:9696"];

function endpointsOf(addresses = ADDRESSES, seed = 1) {
  return new Endpoints(addresses, { clock: new ManualClock(), random: seededRandom(seed) });
}
const places = (them: readonly Endpoint[]) => them.map(({ place }) => place);
async function order(endpoints: Endpoints): Promise<string[]> {
  return places(await endpoints.candidates());
}
/** The client connects to what is due. */
async function connect(endpoints: Endpoints): Promise<string> {
  const [first] = await endpoints.candidates();
  if (!first) throw new Error("there is none");
  endpoints.reached(first);
  return first.place;
}

function count(them: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const place of them) counts.set(place, (counts.get(place) ?? 0) + 1);
  return counts;
}

describe("a fleet", () => {
  it("of 300 clients spreads over three endpoints: each gets 60 to 140", async () => {
    const random = seededRandom(7);
    const taken: string[] = [];
    for (let i = 0; i < 300; i++) taken.push(await connect(new Endpoints(ADDRESSES, { random })));
    const counts = count(taken);
    expect(counts.size).toBe(3);
    for (const each of counts.values()) {
      expect(each).toBeGreaterThanOrEqual(60);
      expect(each).toBeLessThanOrEqual(140);
    }
  });

  it("that loses one of them spreads over those that are left", async () => {
    const random = seededRandom(7);
    const taken: string[] = [];
    for (let i = 0; i < 200; i++) {
      const endpoints = new Endpoints(ADDRESSES, { random });
      const lost = (await endpoints.candidates()).find(({ place }) => place === "10.0.0.1:9696");
      if (!lost) throw new Error("it is there");
      endpoints.reached(lost);
      endpoints.leave();
      taken.push(await connect(endpoints));
    }
    const counts = count(taken);
    expect([...counts.keys()].toSorted()).toEqual(["10.0.0.2:9696", "10.0.0.3:9696"]);
    for (const each of counts.values()) expect(each).toBeGreaterThanOrEqual(70);
  });

  it("that has lost all of them does not come back to the same one", async () => {
    const random = seededRandom(7);
    const taken: string[] = [];
    for (let i = 0; i < 300; i++) {
      const endpoints = new Endpoints(ADDRESSES, { random });
      for (const endpoint of await endpoints.candidates()) endpoints.failed(endpoint);
      endpoints.leave(); // as a session does after an attempt that has reached nobody
      taken.push(await connect(endpoints));
    }
    for (const each of count(taken).values()) expect(each).toBeGreaterThanOrEqual(60);
  });
});

describe("a client", () => {
  it("stays where it is: however often it connects, the same one is due", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const endpoints = endpointsOf(ADDRESSES, seed);
      const first = await connect(endpoints);
      for (let i = 0; i < 5; i++) expect(await connect(endpoints)).toBe(first);
    }
  });

  it("goes to each other endpoint before it comes back to one that failed", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const endpoints = endpointsOf(ADDRESSES, seed);
      const taken: string[] = [];
      for (let i = 0; i < 6; i++) {
        taken.push(await connect(endpoints));
        endpoints.leave();
      }
      expect(new Set(taken.slice(0, 3)).size).toBe(3);
      expect(taken.slice(3)).toEqual(taken.slice(0, 3)); // the one that failed longest ago first
    }
  });

  it("knows what is left of the round, which begins anew when all is well", async () => {
    const endpoints = endpointsOf();
    expect(endpoints.others).toBe("none"); // nothing is known yet
    await connect(endpoints);
    expect(endpoints.others).toBe("untried");
    endpoints.leave();
    await connect(endpoints);
    expect(endpoints.others).toBe("untried");
    endpoints.leave();
    await connect(endpoints);
    expect(endpoints.others).toBe("tried");
    endpoints.settle();
    expect(endpoints.others).toBe("untried");
  });

  it("whose attempts fail without an endpoint has no reason to hurry to another", async () => {
    const endpoints = endpointsOf();
    await connect(endpoints);
    endpoints.leave();
    endpoints.leave(); // such as: the token cannot be read
    expect(endpoints.others).toBe("tried");
  });

  it("forgets the failures of endpoints that are not there any more", async () => {
    let addresses = ["10.0.0.1", "10.0.0.2"];
    const lookup = async () => addresses;
    const endpoints = new Endpoints(["http://pulse:9696"], { random: seededRandom(), lookup });
    for (const endpoint of await endpoints.candidates()) endpoints.failed(endpoint);
    addresses = ["10.0.0.3", "10.0.0.4"];
    await endpoints.candidates();
    expect(endpoints.others).toBe("untried");
    addresses = ["10.0.0.1", "10.0.0.2"];
    await endpoints.candidates();
    expect(endpoints.others).toBe("untried");
  });

  it("with one endpoint never leaves it", async () => {
    const endpoints = endpointsOf(["http://10.0.0.1:9696"]);
    await connect(endpoints);
    endpoints.leave();
    expect(endpoints.current?.place).toBe("10.0.0.1:9696");
    expect(endpoints.others).toBe("none");
    expect(await order(endpoints)).toEqual(["10.0.0.1:9696"]);
  });
});

it.each([
  [["http://127.0.0.1:9696"], "http://127.0.0.1:9696"],
  [["http://pulse:9696"], undefined], // it may come to stand for several
  [["http://127.0.0.1:9696", "http://127.0.0.2:9696"], undefined],
])("%j: without a choice there is %s", (addresses, lone) => {
  expect(endpointsOf(addresses).lone).toBe(lone);
});

it.each([
  [Code.Unavailable, true],
  [Code.DeadlineExceeded, true],
  [Code.ResourceExhausted, false],
  [Code.Aborted, false],
  [Code.NotFound, false],
  [Code.Canceled, false],
])("code %i may be answered elsewhere: %s", (code, expected) => {
  expect(isFaultOfEndpoint(new ConnectError("x", code))).toBe(expected);
});
