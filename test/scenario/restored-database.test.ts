import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { readResumeToken } from "../../src/pulse/resume-token.js";
import { eventually } from "../support/eventually.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";
import { RecordedWatcher } from "../support/watch-recorder.js";
import type { RecordedResponse, Truth } from "../support/watch-recording.js";
import { entryText, serviceText } from "../support/watch-truth.js";
import { bookmarkable, ordered, unique } from "../support/watch-validators.js";

// An operator puts an older copy of the database back, under live watchers: all that
// was committed since is a history that this registry has left.

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

const FILES = ["pulse.db", "pulse.db-wal", "pulse.db-shm"];
const inData = (name: string) => join(stack.dataDirectory, name);
const inBackup = (name: string) => join(stack.group.directory, `backup-${name}`);
const copy = (from: string, to: string) =>
  copyFile(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error; // a log may be there or not
  });

/** Puts the copy back; Pulse must not run. */
async function restore(): Promise<void> {
  for (const name of FILES) await rm(inData(name), { force: true });
  for (const name of FILES) await copy(inBackup(name), inData(name));
}

async function stopped(pulse: RunningProgram): Promise<RunningProgram> {
  await pulse.stop();
  for (const name of FILES) await copy(inData(name), inBackup(name));
  return stack.startPulse();
}

/** As `sqlite3 pulse.db "vacuum into …"` does it. */
async function bySqlite(pulse: RunningProgram): Promise<RunningProgram> {
  const database = new Database(inData("pulse.db"), { readonly: true });
  database.exec(`vacuum into '${inBackup("pulse.db")}'`);
  database.close();
  return pulse;
}

async function ofFiles(pulse: RunningProgram): Promise<RunningProgram> {
  for (const name of FILES.slice(0, 2)) await copy(inData(name), inBackup(name));
  return pulse;
}

const register = (name: string, apiUrl = HAUL.service.apiUrl) =>
  stack.connect().registry.register({
    ...HAUL,
    service: { ...HAUL.service, name, apiUrl },
    instanceId: `instance-of-${name}`,
    requestedTtl: LONG_TTL,
  });

const deregister = (name: string) =>
  stack.connect().registry.deregister({ ...HAUL, instanceId: `instance-of-${name}` });

/** The registry is in another process: what is true there, only its lists say. */
const UNKNOWN: Truth = { stateAt: () => undefined, between: () => undefined };

/** A watcher that connects only while it is let. */
class HeldWatcher {
  readonly recorded: RecordedWatcher;
  #isHeld = false;

  constructor(topic: "entries" | "services") {
    const { downloadClients, registry } = stack.connect();
    this.recorded = new RecordedWatcher({
      name: topic,
      truth: UNKNOWN,
      retryMs: () => 50,
      open: (resumeToken, signal) => {
        if (this.#isHeld) throw new Error("held");
        return topic === "entries"
          ? downloadClients.watchDownloadClients({ resumeToken }, { signal })
          : registry.watchServices({ resumeToken }, { signal });
      },
    });
    onTestFinished(() => this.recorded.stop());
  }

  hold(): void {
    this.#isHeld = true;
    this.recorded.drop();
  }

  release(): void {
    this.#isHeld = false;
  }

  get revision(): bigint {
    const { token } = this.recorded;
    return token === "" ? 0n : readResumeToken(token).revision;
  }

  reached(revision: bigint): Promise<void> {
    return eventually(() => {
      if (this.revision < revision) throw new Error(`stands at ${this.revision}`);
    });
  }

  /** The first response of its newest stream that brought any. */
  get newestOpening(): RecordedResponse | undefined {
    return this.recorded.streams.findLast(({ responses }) => responses.length > 0)?.responses[0];
  }
}

/** What lists say, as the watchers have it. */
async function listed() {
  const { downloadClients, registry } = stack.connect();
  const entries = await downloadClients.listDownloadClients({});
  const services = await registry.listServices({});
  return {
    revision: services.revision,
    names: entries.downloadClients.map(({ name }) => name),
    entries: new Map(entries.downloadClients.map((entry) => [entry.id, entryText(entry)])),
    services: new Map(services.services.map((service) => [service.id, serviceText(service)])),
  };
}

it.each([
  ["copied while Pulse was stopped", stopped, "SIGTERM"],
  ["made by SQLite while Pulse ran", bySqlite, "SIGTERM"],
  ["copied with its log while Pulse ran at rest", ofFiles, "SIGKILL"],
] as const)(
  "an older database, %s, sends every watcher a fresh snapshot, and nothing of the lost history stays",
  async (_, backUp, signal) => {
    let pulse = await stack.startPulse();
    for (const name of ["kept", "changed", "removed"]) await register(name);
    pulse = await backUp(pulse);
    const backup = await listed();

    // Those that come back at once, when the registry stands where they were, and when it is past that.
    const groups = ["at once", "level", "past"].map((when) => ({
      when,
      watchers: [new HeldWatcher("entries"), new HeldWatcher("services")],
    }));
    const watchers = groups.flatMap((group) => group.watchers);
    for (const watcher of watchers) await watcher.reached(backup.revision);
    const common = watchers.map(({ recorded }) => recorded.token);
    await register("lost-1");
    await register("changed", "http://10.0.0.9:99");
    await deregister("removed");
    const { revision: seen } = await register("lost-2");
    expect(seen).toBe(backup.revision + 4n);
    for (const watcher of watchers) await watcher.reached(seen);

    pulse.kill(signal);
    await pulse.exit;
    const [atOnce, level, past] = groups.map((group) => group.watchers);
    for (const watcher of [...(level ?? []), ...(past ?? [])]) watcher.hold();
    await restore();
    pulse = await stack.startPulse();
    await eventually(() => {
      for (const { newestOpening } of atOnce ?? [])
        expect(newestOpening).toMatchObject({
          event: { kind: "snapshot", reason: "FUTURE" },
          revision: backup.revision,
        });
    });
    // Nothing has happened since the copy was made, so they know what is in it.
    expect(atOnce?.map(({ recorded }) => recorded.state)).toEqual([
      backup.entries,
      backup.services,
    ]);

    for (let n = 1; n <= 4; n++) await register(`new-${n}`);
    expect((await listed()).revision).toBe(seen);
    for (const watcher of level ?? []) watcher.release();
    await eventually(() => {
      for (const { newestOpening } of level ?? [])
        expect(newestOpening).toMatchObject({
          event: { kind: "snapshot", reason: "OTHER_HISTORY" },
          revision: seen,
        });
    });

    for (let n = 5; n <= 8; n++) await register(`new-${n}`);
    for (const watcher of past ?? []) watcher.release();
    await eventually(() => {
      for (const { newestOpening } of past ?? [])
        expect(newestOpening).toMatchObject({
          event: { kind: "snapshot", reason: "OTHER_HISTORY" },
          revision: seen + 4n,
        });
    });

    // And all of them go on with what happens now.
    await deregister("new-1");
    await register("changed", "http://10.0.0.7:77");
    const now = await listed();
    expect(now.names.sort()).toEqual([
      "changed",
      "kept",
      "new-2",
      "new-3",
      "new-4",
      "new-5",
      "new-6",
      "new-7",
      "new-8",
      "removed",
    ]);
    for (const watcher of watchers) await watcher.reached(now.revision);
    for (const { recorded } of watchers)
      expect([recorded.name, recorded.state]).toEqual([
        recorded.name,
        recorded.name === "entries" ? now.entries : now.services,
      ]);

    // A token from before the copy is of this history too, and is resumed from.
    for (const [i, token] of common.entries()) {
      const { downloadClients, registry } = stack.connect();
      const watch =
        i % 2 === 0
          ? downloadClients.watchDownloadClients({ resumeToken: token })
          : registry.watchServices({ resumeToken: token });
      for await (const response of watch) {
        expect(response.event.case).toBe("change");
        expect(response.revision).toBeGreaterThan(backup.revision);
        break;
      }
    }

    await Promise.all(watchers.map(({ recorded }) => recorded.stop()));
    for (const validate of [ordered, unique, bookmarkable])
      expect(watchers.flatMap(({ recorded }) => validate(recorded))).toEqual([]);
  },
  60_000,
);
