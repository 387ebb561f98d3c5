import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { createAuthorization, type TokenSource } from "../../src/client/authorization.js";
import { logEvents } from "../../src/client/event-log.js";
import { createInstanceToken } from "../../src/client/instance-token.js";
import type { RegistrationEvent } from "../../src/client/registration.js";
import { startSession } from "../../src/client/session.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakePulse } from "./fake-pulse.js";

const NOWHERE = Symbol("in memory alone");
const JOIN = "the-join-token";
const unknown = () => new ConnectError("the token is not valid", Code.Unauthenticated);
const denied = (reason: string) =>
  new ConnectError(reason, Code.PermissionDenied, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "pulse", reason } },
  ]);

/** Tokens of a Pulse, for one instance. */
class Access {
  /** What the join token is worth now. */
  join: "good" | "spent" | "revoked" = "good";
  /** The valid token of the instance's own. */
  own = "";
  /** Calls, as `register join`. */
  readonly calls: string[] = [];
  #given = 0;

  admit(token: string, rpc: "register" | "heartbeat"): string {
    this.calls.push(`${rpc} ${token === JOIN ? "join" : token}`);
    if (token !== "" && token === this.own) return "";
    if (token === "plain") return "";
    if (token !== JOIN || this.join === "revoked") throw unknown();
    if (rpc === "heartbeat") throw denied("SCOPE_MISSING");
    if (this.join === "spent") throw denied("JOIN_TOKEN_SPENT");
    this.own = `own-${++this.#given}`;
    return this.own;
  }
}

let directory: string;
let access: Access;
let pulse: FakePulse;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let events: RegistrationEvent[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "joining-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  access = new Access();
  pulse = new FakePulse();
  pulse.admit = (token, rpc) => access.admit(token, rpc);
  clock = new ManualClock();
  log = recordingLog();
  events = [];
});

/** Starts a process of the instance, which has nothing but what is in its directory. */
function start(token: TokenSource = JOIN, kept: string | typeof NOWHERE = directory) {
  const own = createInstanceToken(kept === NOWHERE ? undefined : kept, log);
  const authorization = createAuthorization(token, own);
  const toLog = logEvents(log, "pulse");
  const session = startSession({
    dial: () => pulse.dialWith([authorization]),
    ownToken: own,
    endpoints: new Endpoints(["http://127.0.0.1:9696"]),
    identity: async () => ({ instanceId: "inst-1", instanceSecret: "a secret of 16 or more" }),
    service: { name: "haul", type: "x" },
    credentials: undefined,
    health: undefined,
    ttlMs: undefined,
    standaloneAfterMs: 120_000,
    clock,
    random: seededRandom(7),
    onEvent: (event) => {
      events.push(event);
      toLog(event);
    },
  });
  onTestFinished(() => session.close());
  return session;
}

const file = () => readFile(join(directory, "instance.token"), "utf8");
/** Time for file access and calls. */
const pass = async (ms = 10) => {
  for (let i = 0; i < 10; i++) {
    await clock.advance(ms / 10);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
const types = () => events.map(({ type }) => type);

describe("an instance that joins", () => {
  it("keeps its own token, for its owner alone, and uses it from then on", async () => {
    const session = start();
    await pass();
    expect(session.state).toBe("registered");
    expect(access.calls).toEqual(["register join", "heartbeat own-1"]);
    expect(await file()).toBe("own-1\n");
    expect((await stat(join(directory, "instance.token"))).mode & 0o777).toBe(0o600);
    session.update({ service: { name: "haul-new", type: "x" } });
    await pass();
    expect(access.calls.at(-1)).toBe("register own-1");
  });

  it("starts again without the join token, which nobody asks for", async () => {
    await start().close();
    await pass();
    const first = start();
    await pass();
    await first.close();
    access.calls.length = 0;
    access.join = "revoked";
    const session = start(() => {
      throw new Error("its file was removed");
    });
    await pass();
    expect(session.state).toBe("registered");
    expect(access.calls).toEqual(["register own-1", "heartbeat own-1"]);
  });

  it("that keeps nothing has its own token in memory, and joins again at the next start", async () => {
    const first = start(JOIN, NOWHERE);
    await pass();
    expect(access.calls).toEqual(["register join", "heartbeat own-1"]);
    await first.close();
    start(JOIN, NOWHERE);
    await pass();
    expect(access.calls.slice(2)).toEqual(["register join", "heartbeat own-2"]);
    expect(await readdir(directory)).toEqual([]);
  });

  it("goes on in memory if its own token cannot be written down, and says so", async () => {
    const session = start(JOIN, join(directory, "missing"));
    await pass();
    expect(session.state).toBe("registered");
    expect(access.calls.at(-1)).toBe("heartbeat own-1");
    expect(log.lines.map(({ msg }) => msg)).toContain("pulse.instance_token_not_kept");
  });
});

describe("an own token that Pulse does not take any more", () => {
  it("on the stream has the instance register with the join token at once, and replaced", async () => {
    const session = start();
    await pass();
    access.own = "another";
    access.calls.length = 0;
    pulse.say(unknown());
    await pass(1_500);
    expect(session.state).toBe("registered");
    expect(access.calls).toEqual(["register own-1", "register join", "heartbeat own-2"]);
    expect(await file()).toBe("own-2\n");
    expect(types()).toEqual(["registered", "disconnected", "reconnected"]);
  });

  it("at the start has it join anew, if the join token still holds", async () => {
    await writeFile(join(directory, "instance.token"), "of-a-wiped-pulse\n");
    const session = start();
    await pass();
    expect(session.state).toBe("registered");
    expect(access.calls).toEqual(["register of-a-wiped-pulse", "register join", "heartbeat own-1"]);
    expect(await file()).toBe("own-1\n");
  });

  it("of an identity that was given up does not stand in the way of the new one", async () => {
    await writeFile(join(directory, "instance.token"), "of-another-instance\n");
    pulse.admit = (token, rpc) => {
      if (token === "of-another-instance") throw denied("INSTANCE_MISMATCH");
      return access.admit(token, rpc);
    };
    const session = start();
    await pass();
    expect(session.state).toBe("registered");
    expect(await file()).toBe("own-1\n");
  });

  it.each(["spent", "revoked"] as const)(
    "with a join token that is %s: rejected, tried slowly, and well once either is mended",
    async (worth) => {
      const session = start();
      await pass();
      const own = access.own;
      access.own = "";
      access.join = worth;
      pulse.say(unknown());
      await pass(1_500);
      expect(session.state).toBe("rejected");
      const calls = access.calls.length;
      await pass(40_000);
      expect(access.calls.length).toBe(calls);
      access.own = own; // as when a backup is restored
      await pass(20_000);
      expect(session.state).toBe("registered");
      expect(access.calls.slice(calls)).toEqual([`register ${own}`, `heartbeat ${own}`]);
      expect(types().filter((type) => type === "rejected")).toHaveLength(1);
    },
  );

  it("makes room for a plain token, and is forgotten", async () => {
    await writeFile(join(directory, "instance.token"), "old\n");
    const session = start("plain");
    await pass();
    expect(session.state).toBe("registered");
    expect(access.calls).toEqual(["register old", "register plain", "heartbeat plain"]);
    expect(await readdir(directory)).toEqual([]);
  });
});

it("a stream that is cut since its plain token was revoked is a refusal: said once, tried slowly", async () => {
  const session = start("plain");
  await pass();
  pulse.admit = () => {
    throw unknown();
  };
  pulse.say(unknown());
  await pass();
  expect(session.state).toBe("rejected");
  const { length } = access.calls;
  await pass(45_000);
  expect(access.calls.length).toBe(length);
  pulse.admit = () => "";
  await pass(15_000);
  expect(session.state).toBe("registered");
  expect(types()).toEqual(["registered", "rejected", "registered"]);
});

it("a file that cannot be read, or is no token, is no token; and one of someone else is waited for", async () => {
  await writeFile(join(directory, "instance.token"), "two words\n");
  expect(await createInstanceToken(directory, undefined).read()).toBeUndefined();
  const notADirectory = join(directory, "instance.token");
  await expect(createInstanceToken(notADirectory, undefined).read()).rejects.toMatchObject({
    code: Code.Unavailable,
    message: expect.stringContaining("cannot read"),
  });
});

it("neither events nor log lines have a token in them", async () => {
  const session = start();
  await pass();
  access.join = "spent";
  access.own = "";
  pulse.say(unknown());
  await pass(2_000);
  await session.close();
  const told = [
    ...events.map((e) => ("error" in e ? `${e.error.stack}` : "")),
    ...events,
    log.lines,
  ];
  const text = JSON.stringify(told, (_, v) => (typeof v === "bigint" ? `${v}` : v));
  expect(text).toContain("JOIN_TOKEN_SPENT");
  for (const secret of [JOIN, "own-1"]) expect(text).not.toContain(secret);
});
