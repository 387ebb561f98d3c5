import { Code } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import { EndpointLookup, type Lookup, literalEndpoint } from "../../src/wire/endpoint-lookup.js";
import { ManualClock, settle } from "../support/manual-clock.js";

let clock: ManualClock;
/** What names stand for; an error for one that cannot be looked up, `silent` for one without an answer. */
let names: Record<string, readonly string[] | Error | "silent">;
let asked: string[];
beforeEach(() => {
  clock = new ManualClock();
  names = {};
  asked = [];
});

const lookup: Lookup = async (host) => {
  asked.push(host);
  const answer = names[host] ?? new Error(`getaddrinfo ENOTFOUND ${host}`);
  if (answer === "silent") return new Promise(() => {});
  if (answer instanceof Error) throw answer;
  return answer;
};
const lookupOf = (...addresses: string[]) => new EndpointLookup(addresses, clock, lookup);
const places = async (it: EndpointLookup) => (await it.find()).map(({ place }) => place);

describe("the endpoints behind addresses", () => {
  it("are all the addresses of each name, and IP addresses as they stand", async () => {
    names = { pulse: ["10.0.0.1", "fd00::1"], other: ["10.0.0.2"] };
    const it = lookupOf(
      "http://pulse:9696",
      "http://other:1",
      "http://10.0.0.3:2",
      "http://[::1]:3",
    );
    expect(await places(it)).toEqual([
      "10.0.0.1:9696",
      "[fd00::1]:9696",
      "10.0.0.2:1",
      "10.0.0.3:2",
      "[::1]:3",
    ]);
    expect(asked).toEqual(["pulse", "other"]);
  });

  it("are each there once, whatever leads to them", async () => {
    names = { a: ["10.0.0.1", "10.0.0.1"], b: ["10.0.0.1"] };
    const it = lookupOf("http://a:9696", "http://b:9696", "http://10.0.0.1:9696");
    expect(await places(it)).toEqual(["10.0.0.1:9696"]);
  });

  it("keep the name that was given, for the certificate", async () => {
    names = { "pulse.lan": ["10.0.0.1"] };
    expect(await lookupOf("https://pulse.lan:443").find()).toEqual([
      { place: "10.0.0.1:443", scheme: "https", host: "pulse.lan", port: "443" },
    ]);
    expect(await lookupOf("http://pulse.lan:80").find()).toMatchObject([{ port: "80" }]);
  });

  it("are looked up anew each time", async () => {
    names = { pulse: ["10.0.0.1"] };
    const it = lookupOf("http://pulse:9696");
    await it.find();
    names = { pulse: ["10.0.0.2"] };
    expect(await places(it)).toEqual(["10.0.0.2:9696"]);
  });
});

describe("a name that cannot be looked up", () => {
  it("hides no other", async () => {
    names = { good: ["10.0.0.1"] };
    expect(await places(lookupOf("http://bad:9696", "http://good:9696"))).toEqual([
      "10.0.0.1:9696",
    ]);
  });

  it("stands for what it stood for before", async () => {
    names = { pulse: ["10.0.0.1", "10.0.0.2"] };
    const it = lookupOf("http://pulse:9696");
    await it.find();
    names = {};
    expect(await places(it)).toEqual(["10.0.0.1:9696", "10.0.0.2:9696"]);
  });

  it("is UNAVAILABLE, with its cause, if there is nothing else", async () => {
    const found = lookupOf("http://bad:9696", "http://worse:9696").find();
    await expect(found).rejects.toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringMatching(/^no connection: getaddrinfo ENOTFOUND/),
    });
    names = { empty: [] };
    await expect(lookupOf("http://empty:9696").find()).rejects.toThrow("no address");
    expect(clock.pending).toBe(0);
  });

  it("and has no answer at all holds the others up for a second", async () => {
    names = { silent: "silent", good: ["10.0.0.1"] };
    let found: string[] | undefined;
    void places(lookupOf("http://silent:9696", "http://good:9696")).then((them) => {
      found = them;
    });
    await clock.advance(999);
    expect(found).toBeUndefined();
    await clock.advance(1);
    expect(found).toEqual(["10.0.0.1:9696"]);
    expect(clock.pending).toBe(0);
  });

  it("alone is waited for: the caller has a deadline", async () => {
    names = { silent: "silent" };
    let state = "waits";
    void lookupOf("http://silent:9696")
      .find()
      .finally(() => {
        state = "ended";
      });
    await settle();
    await clock.advance(60_000);
    expect(state).toBe("waits");
  });
});

it.each([
  ["http://127.0.0.1:9696", "127.0.0.1:9696"],
  ["https://[::1]:443", "[::1]:443"],
  ["http://localhost:9696", undefined],
])("%s is known without a lookup: %s", (address, place) => {
  expect(literalEndpoint(address)?.place).toBe(place);
});
