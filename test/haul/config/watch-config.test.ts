import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { type HaulConfig, readConfig, watchConfig } from "../../../src/haul/config/index.js";
import { eventually } from "../../support/eventually.js";
import { ManualClock } from "../../support/manual-clock.js";
import { recordingLog } from "../../support/recording-log.js";
import { type ConfigDirectory, clientWith, configDirectory } from "./config-directory.js";

const LOOK_MS = 2_000;

let directory: ConfigDirectory;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let taken: HaulConfig[];
beforeEach(async () => {
  directory = await configDirectory();
  clock = new ManualClock();
  log = recordingLog();
  taken = [];
});

async function watch(yaml: string) {
  const path = await directory.put("haul.yaml", yaml);
  const env = {};
  const config = await readConfig(path, env);
  const onConfig = (config: HaulConfig) => void taken.push(config);
  const watching = watchConfig({ path, env, config, clock, log, onConfig });
  onTestFinished(() => watching.stop());
  return watching;
}

/** The next look at the files, and what follows from it. */
async function look(): Promise<void> {
  await clock.advance(LOOK_MS);
  await new Promise((resolve) => setTimeout(resolve, 20)); // the disk has its own time
}

/** Looks on until this holds, and then some more times. */
async function lookUntil(check: () => void): Promise<void> {
  await eventually(async () => {
    await look();
    check();
  });
  for (let i = 0; i < 3; i++) await look();
  check();
}

const messages = () => log.lines.map(({ level, msg }) => `${level} ${msg}`);
const secrets = () => taken.map(({ clients }) => clients[0]?.secret);

it("takes a configuration that has changed, once", async () => {
  await watch(clientWith());
  await look();
  await directory.put("haul.yaml", clientWith("username: me"));
  await lookUntil(() => expect(taken).toHaveLength(1));
  expect(taken[0]?.clients).toMatchObject([{ name: "qb", username: "me" }]);
  expect(messages()).toEqual(["info haul.config-read"]);
});

it("takes a secret whose file alone has changed, also one that is named since", async () => {
  await directory.put("password", "one\n");
  await watch(clientWith("password_file: password"));
  await directory.put("password", "two\n");
  await lookUntil(() => expect(secrets()).toEqual(["two"]));
  await directory.put("other", "three\n");
  await directory.put("haul.yaml", clientWith("password_file: other"));
  await lookUntil(() => expect(secrets()).toEqual(["two", "three"]));
  await directory.put("password", "four\n");
  await directory.put("other", "five\n");
  await lookUntil(() => expect(secrets()).toEqual(["two", "three", "five"]));
  expect(JSON.stringify(log.lines)).not.toMatch(/one|two|three|five/);
});

it("keeps what was there before while the file cannot be used, says that once with its lines, and takes the next that can", async () => {
  await watch(clientWith());
  await directory.put("haul.yaml", clientWith("enabled: maybe", "min_free: x"));
  await lookUntil(() => expect(log.lines).toHaveLength(1));
  const path = join(directory.path, "haul.yaml");
  expect(log.lines[0]).toMatchObject({
    level: "error",
    msg: "haul.config-kept",
    fields: {
      problems: [
        `${path}:5:14: clients[0].enabled: must be true or false`,
        `${path}:6:15: clients[0].min_free: must be a size such as 5GiB or 500MB, or 0 for never`,
      ],
    },
  });
  await directory.put("haul.yaml", clientWith("enabled: false"));
  await lookUntil(() => expect(taken.map(({ clients }) => clients)).toEqual([[]]));
});

it("takes a configuration as soon as a secret is there that it lacked", async () => {
  await watch(clientWith());
  await directory.put("haul.yaml", clientWith("password_file: password"));
  await lookUntil(() => expect(messages()).toEqual(["error haul.config-kept"]));
  await directory.put("password", "one\n");
  await lookUntil(() => expect(secrets()).toEqual(["one"]));
});

it("bears that the file is away", async () => {
  await watch(clientWith());
  await rm(join(directory.path, "haul.yaml"));
  await lookUntil(() => expect(messages()).toEqual(["error haul.config-kept"]));
  await directory.put("haul.yaml", clientWith());
  await lookUntil(() => expect(taken).toHaveLength(1));
});

it("reads at once when told, changed or not", async () => {
  const watching = await watch(clientWith());
  await watching.reload();
  expect(taken).toHaveLength(1);
  await directory.put("haul.yaml", "clients: []\n");
  await watching.reload();
  expect(taken).toHaveLength(1);
  expect(messages()).toEqual(["info haul.config-read", "error haul.config-kept"]);
});

it("warns of what takes a restart, and of secrets that everybody may read", async () => {
  await chmod(await directory.put("password", "one\n"), 0o644);
  const secret = "password_file: password";
  const watching = await watch(clientWith(secret));
  expect(messages()).toEqual(["warn haul.config-warning"]);
  await directory.put("haul.yaml", `pulse: other\nlisten: a:1\n${clientWith(secret)}`);
  await watching.reload();
  expect(messages().slice(1)).toEqual([
    "info haul.config-read",
    "warn haul.config-warning",
    "warn haul.config-needs-restart",
  ]);
  expect(log.lines.at(-1)?.fields).toMatchObject({ keys: ["pulse", "listen"] });
});

it("takes nothing and leaves no timer behind once it is stopped, even in the midst of a reading", async () => {
  const watching = await watch(clientWith());
  const reading = watching.reload();
  for (let i = 0; i < 3; i++) await Promise.resolve(); // it has begun, and no file is read in no time
  watching.stop();
  await reading;
  expect(taken).toEqual([]);
  expect(clock.pending).toBe(0);
});
