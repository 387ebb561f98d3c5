import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { TestOutcome } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { Command } from "../../src/core/decision.js";
import { newOperatorFields } from "../../src/core/entry.js";
import { createEntry, deleteEntry, updateEntry } from "../../src/core/entry-command.js";
import type { EntryPatch } from "../../src/core/entry-patch.js";
import { DomainError } from "../../src/core/errors.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { systemClock } from "../../src/lib/clock.js";
import { createProbeRule } from "../../src/lib/probe-address.js";
import { createEntryTester, type EntryTester } from "../../src/pulse/entry-test.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { FakeQBittorrent, reply, serve } from "../adapters/fake-client.js";
import { Fleet } from "../support/fleet.js";
import { OPS, type RecordedAudit, recordedAudit } from "../support/recorded-audit.js";

let fleet: Fleet;
let client: FakeQBittorrent;
let tester: EntryTester;
let audit: RecordedAudit;
beforeEach(async () => {
  fleet = await Fleet.start();
  client = new FakeQBittorrent();
  audit = recordedAudit();
  const { registry, signs } = fleet;
  tester = createEntryTester({ registry, signs, audit, clock: systemClock });
});

const run = <Outcome>(command: Command<Outcome>) => fleet.registry.run(command);
const test = (id: string, signal = new AbortController().signal) => tester.test(id, OPS, signal);

/** A MANUAL entry of what is at this URL. Returns its id. */
async function entryAt(url: string, change: { kind?: string; password?: string } = {}) {
  const { hostname, port, pathname } = new URL(url);
  const target = {
    kind: "qbittorrent",
    protocol: "torrent" as const,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    useSsl: false,
    urlBase: pathname === "/" ? "" : pathname,
    username: "admin",
    password: "right",
    ...NO_FILE_PLACES,
    ...change,
  };
  const made = await run(createEntry({ fields: newOperatorFields("nas"), target }, "ops"));
  return made.resolved.entry.id;
}

const patched = (id: string, patch: Partial<EntryPatch>, ...paths: string[]) => {
  const nothing = { fields: {}, target: {}, overrides: {} };
  return run(updateEntry({ id, etag: "", patch: { ...nothing, ...patch }, paths, by: "ops" }));
};

const stateOf = (id: string) => fleet.registry.catalog.resolvedEntry(id)?.facts.credentialState;
const refusal = (testing: Promise<unknown>) =>
  testing.then(
    () => "it did not fail",
    (error: unknown) => (error instanceof DomainError ? error.refusal : error),
  );

/** What accepts and never answers. Returns its URL, and how many calls hang. */
async function startSilent() {
  const silent = { url: "", calls: 0 };
  silent.url = await serve(() => {
    silent.calls++;
  });
  return silent;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("a test that finds", () => {
  it("a client that lets us in with what its operator gave: OK, and verified from then on", async () => {
    const id = await entryAt(await serve(client.listener));
    expect(await test(id)).toEqual({
      outcome: TestOutcome.OK,
      message: "qBittorrent 4.5.2 answers",
      version: "4.5.2",
      latencyMs: expect.any(Number),
      credentialState: "verified",
    });
    expect(stateOf(id)).toBe("verified");
    expect(fleet.reasons()).toEqual(["created by ops", "tested by ops"]);
    await test(id);
    expect(fleet.reasons()).toHaveLength(2); // that is known
  });

  it("that the credentials are refused: rejected from then on, until others are set", async () => {
    const id = await entryAt(await serve(client.listener), { password: "wrong" });
    expect(await test(id)).toMatchObject({
      outcome: TestOutcome.CREDENTIALS_REJECTED,
      version: "",
      credentialState: "rejected",
    });
    expect(stateOf(id)).toBe("rejected");
    await patched(id, { target: { password: "right" } }, "password");
    expect(stateOf(id)).toBe("unverified");
    expect(await test(id)).toMatchObject({ credentialState: "verified" });
  });

  it("a client that does not ask for them: OK, but nothing is proven", async () => {
    client.open = true;
    const id = await entryAt(await serve(client.listener), { password: "wrong" });
    const { outcome, message, credentialState } = await test(id);
    expect([outcome, credentialState]).toEqual([TestOutcome.OK, "unverified"]);
    expect(message).toMatch(/answers, and lets Pulse in without looking at the credentials/);
    expect(fleet.reasons()).toEqual(["created by ops"]);
  });

  it("nobody there: UNREACHABLE", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const id = await entryAt(`http://127.0.0.1:${port}`);
    const found = await test(id);
    expect(found).toMatchObject({
      outcome: TestOutcome.UNREACHABLE,
      credentialState: "unverified",
    });
    expect(found.message).not.toBe("");
  });

  it("an address that Pulse never calls: UNREACHABLE, with that address and without a call", async () => {
    const id = await entryAt("http://[fe80::1]:8080");
    const { outcome, message } = await test(id);
    expect(outcome).toBe(TestOutcome.UNREACHABLE);
    expect(message).toBe(
      "http://[fe80::1]:8080: it is at fe80::1, a link-local address, which Pulse never calls; check that address, and that it can be reached from where Pulse runs",
    );
  });

  it("an address outside the networks of --allow-probe: UNREACHABLE, without a call", async () => {
    const addressRule = createProbeRule(["10.0.0.0/8"]);
    tester = createEntryTester({
      registry: fleet.registry,
      signs: fleet.signs,
      audit,
      clock: systemClock,
      addressRule,
    });
    const id = await entryAt(await serve(client.listener));
    const { outcome, message } = await test(id);
    expect(outcome).toBe(TestOutcome.UNREACHABLE);
    expect(message).toContain("127.0.0.1, in none of the networks that --allow-probe names");
    expect(client.paths).toEqual([]);
  });

  it("something else: WRONG_KIND", async () => {
    const id = await entryAt(await serve((_, response) => reply(response, 200, "<html>")));
    expect(await test(id)).toMatchObject({ outcome: TestOutcome.WRONG_KIND });
  });

  it("one that is too old: UNSUPPORTED_VERSION", async () => {
    client.version = "v4.0.4";
    const id = await entryAt(await serve(client.listener));
    expect(await test(id)).toMatchObject({ outcome: TestOutcome.UNSUPPORTED_VERSION, version: "" });
  });

  it("a kind that Pulse cannot speak to: UNSUPPORTED_KIND, and nothing is tried", async () => {
    let calls = 0;
    const url = await serve((_, response) => {
      calls++;
      reply(response, 200, "");
    });
    for (const kind of ["rtorrent", "constructor"]) {
      const id = await entryAt(url, { kind });
      expect(await test(id)).toMatchObject({
        outcome: TestOutcome.UNSUPPORTED_KIND,
        message: `Pulse does not know how to log in to ${kind}, so nothing was tried`,
        credentialState: "unverified",
      });
      await run(deleteEntry(id, "", "ops"));
    }
    expect(calls).toBe(0);
  });
});

describe("what a test shows of an entry that a service made", () => {
  async function registeredAt(url: string, apiKey: string): Promise<string> {
    await fleet.register(1, { username: "admin", apiKey });
    const service = fleet.registry.catalog.serviceByInstance("i1");
    const id = fleet.registry.catalog.entryOf(service?.id ?? "")?.id ?? "";
    const { hostname, port } = new URL(url);
    await patched(
      id,
      { overrides: { host: hostname, port: Number(port) } },
      "overrides.host",
      "overrides.port",
    );
    return id;
  }

  it("of the service's own credentials is not noted: what it says of them stands", async () => {
    const id = await registeredAt(await serve(client.listener), "wrong");
    const before = fleet.reasons().length;
    expect(await test(id)).toMatchObject({
      outcome: TestOutcome.CREDENTIALS_REJECTED,
      credentialState: "unverified",
    });
    expect(fleet.reasons()).toHaveLength(before);
  });

  it("of an operator's in their place is noted, until the operator takes them back", async () => {
    const id = await registeredAt(await serve(client.listener), "wrong");
    await patched(id, { overrides: { password: "right" } }, "overrides.password");
    expect(await test(id)).toMatchObject({
      outcome: TestOutcome.OK,
      credentialState: "verified",
    });
    expect(stateOf(id)).toBe("verified");
    await patched(id, { overrides: { password: undefined } }, "overrides.password");
    expect(stateOf(id)).toBe("unverified");
  });
});

describe("a test reaches the client", () => {
  it("below its URL base", async () => {
    const url = await serve((request, response) => {
      const path = /^\/base(\/.*)$/.exec(request.url ?? "")?.[1];
      if (path === undefined) return reply(response, 404, "");
      request.url = path;
      return client.listener(request, response);
    });
    expect(await test(await entryAt(`${url}/base`))).toMatchObject({ outcome: TestOutcome.OK });
  });

  it("at an IPv6 address", async ({ skip }) => {
    const server = createServer(client.listener);
    const isThere = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(0, "::1", () => resolve(true));
    });
    if (!isThere) skip("this host has no IPv6");
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const id = await entryAt(`http://[::1]:${port}`);
    expect(await test(id)).toMatchObject({ outcome: TestOutcome.OK });
  });

  it("also while its entry is deleted, so that it can be tried before it is restored", async () => {
    const url = new URL(await serve(client.listener));
    await fleet.register(1, { username: "admin", apiKey: "right" });
    const id = fleet.registry.catalog.entryNamed("haul")?.id ?? "";
    const overrides = { host: url.hostname, port: Number(url.port) };
    await patched(id, { overrides }, "overrides.host", "overrides.port");
    await run(deleteEntry(id, "", "ops"));
    expect(await test(id)).toMatchObject({ outcome: TestOutcome.OK });
  });
});

describe("a test fails", () => {
  it("if there is no such entry", async () => {
    expect(await refusal(test("nobody"))).toEqual({
      kind: "not-found",
      resource: "download client",
      id: "nobody",
    });
  });

  it("with the reason of its signal, as soon as the caller is gone", async () => {
    const silent = await startSilent();
    const id = await entryAt(silent.url);
    const caller = new AbortController();
    const testing = refusal(test(id, caller.signal));
    await until(() => silent.calls === 1);
    caller.abort(new Error("the caller is gone"));
    expect(await testing).toEqual(new Error("the caller is gone"));
    expect(stateOf(id)).toBe("unverified");
  });

  it("if too many run, until one of them is over", async () => {
    const silent = await startSilent();
    const id = await entryAt(silent.url);
    const callers = Array.from({ length: 8 }, () => new AbortController());
    const testing = callers.map(({ signal }) => refusal(test(id, signal)));
    expect(await refusal(test(id))).toEqual({
      kind: "quota",
      reason: "TOO_MANY_TESTS",
      retryAfterMs: 2_000,
    });
    await until(() => silent.calls === 8);
    callers[0]?.abort(new Error("gone"));
    await testing[0];
    const ninth = new AbortController();
    testing.push(refusal(test(id, ninth.signal)));
    await until(() => silent.calls === 9);
    for (const caller of [...callers, ninth]) caller.abort(new Error("gone"));
    expect(await Promise.all(testing)).toEqual(testing.map(() => new Error("gone")));
  });

  it("if what it has found cannot be written", async () => {
    const id = await entryAt(await serve(client.listener));
    fleet.store.failure = new StoreUnavailableError("the disk is full");
    expect(await refusal(test(id))).toMatchObject({ kind: "store-unavailable" });
    fleet.store.failure = undefined;
    expect(await test(id)).toMatchObject({ credentialState: "verified" });
  });
});

it("what was found of credentials that were changed meanwhile is not noted of the new ones", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let calls = 0;
  const url = await serve(async (request, response) => {
    calls++;
    await held;
    return client.listener(request, response);
  });
  const id = await entryAt(url);
  const testing = test(id);
  await until(() => calls === 1);
  await patched(id, { target: { password: "wrong" } }, "password");
  release();
  expect(await testing).toMatchObject({ outcome: TestOutcome.OK, credentialState: "unverified" });
  expect(stateOf(id)).toBe("unverified");
});

it("no outcome tells a secret, nor does the log", async () => {
  const secret = "planted-secret";
  const told: unknown[] = [];
  const listeners = [
    client.listener,
    Object.assign(new FakeQBittorrent(), { password: secret }).listener,
    (_: unknown, response: Parameters<typeof reply>[0]) => reply(response, 200, secret),
    (_: unknown, response: Parameters<typeof reply>[0]) => reply(response, 500, secret),
  ];
  for (const listener of listeners) {
    const id = await entryAt(await serve(listener), { password: secret });
    told.push(await test(id), fleet.registry.catalog.entry(id)?.name);
    await run(deleteEntry(id, "", "ops"));
  }
  told.push(
    fleet.log.lines,
    fleet.store.commits.map(({ changes, reason }) => [changes, reason]),
  );
  expect(JSON.stringify(told)).not.toContain("planted");
});
