#!/usr/bin/env node
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { connectPulse } from "../client/index.js";
import { sleep, systemClock } from "../lib/clock.js";
import { hostOf, isUnspecifiedHost } from "../lib/host.js";
import { makePrivateDirectory, readIfPresent } from "../lib/private-file.js";
import { type ChildProgramOptions, startChildProgram } from "./child-program.js";
import { CommandError, failureSentence } from "./failure.js";
import { readSwitch } from "./options.js";
import { print } from "./output.js";
import { programLines, registryTables } from "./overview.js";
import { pulseDataDirectory } from "./places.js";
import { createProgram, runProgram } from "./program.js";
import { findTarget, type PulseTarget } from "./pulse-target.js";
import { createScreen } from "./screen.js";
import { type Supervised, supervise } from "./supervisor.js";

const REFRESH_INTERVAL_MS = 500;
/** Variables that Haul has no use for. */
const SECRETS_OF_PULSE = [
  "PULSE_TOKEN",
  "PULSE_SECRET_KEY",
  "PULSE_DATABASE",
  "PULSE_MIGRATE_TO",
  "PGPASSWORD",
  "PGPASSFILE",
] as const;

const program = createProgram(
  "npm start",
  "Runs Pulse and a Haul in one terminal and shows what is registered. The variables of both hold here too: PULSE_LISTEN, PULSE_DATA, HAUL_KIND, HAUL_URL and so on.",
).action(start);
await runProgram(program);

async function start(): Promise<void> {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => stopping.abort());

  const data = pulseDataDirectory(process.env.PULSE_DATA, process.env);
  const logs = await makeLogDirectory(data);
  const serviceToken = join(data, "tokens", "service.token");

  const pulse = await startProgram("Pulse", {
    program: "pulse",
    args: ["serve", "--data", data],
    env: process.env,
    logFile: join(logs, "pulse.log"),
    readyMessage: "pulse.listening",
  });
  try {
    const target = await targetHere(pulse.state.name === "running" ? pulse.state.url : "", data);
    // Haul is a service like any other: it gets the service token, and none of Pulse's own secrets.
    const env = { ...process.env };
    for (const name of SECRETS_OF_PULSE) delete env[name];
    const haul = await startProgram("Haul", {
      program: "haul",
      args: ["run", "--pulse", target.url],
      env: { ...env, PULSE_TOKEN_FILE: serviceToken },
      logFile: join(logs, "haul.log"),
      readyMessage: "haul.listening",
    });
    try {
      print(whereThingsAre(data, logs));
      await showUntil(stopping.signal, { pulse, haul, target, serviceToken });
    } finally {
      await haul.stop(); // first, so that its goodbye is heard
    }
  } finally {
    await pulse.stop();
  }
  process.exit(0);
}

/** The Pulse that was started, as its clients here find and trust it. */
function targetHere(listening: string, dataDirectory: string): Promise<PulseTarget> {
  const { PULSE_CA, PULSE_CERT, PULSE_KEY, PULSE_FINGERPRINT } = process.env;
  const url = new URL(listening);
  // No certificate is for "all addresses".
  if (isUnspecifiedHost(hostOf(url)))
    url.hostname = url.hostname === "[::]" ? "[::1]" : "127.0.0.1";
  return findTarget({
    pulse: url.origin,
    ...(PULSE_CA !== undefined && { ca: PULSE_CA }),
    ...(PULSE_CERT !== undefined && { cert: PULSE_CERT }),
    ...(PULSE_KEY !== undefined && { key: PULSE_KEY }),
    ...(PULSE_FINGERPRINT !== undefined && { fingerprint: PULSE_FINGERPRINT }),
    insecure: readSwitch("PULSE_INSECURE", process.env),
    dataDirectory,
  });
}

async function makeLogDirectory(data: string): Promise<string> {
  const logs = join(data, "logs");
  try {
    await makePrivateDirectory(logs);
  } catch (error) {
    throw new CommandError(
      `cannot write to ${data} (${(error as NodeJS.ErrnoException).code}): set PULSE_DATA to a directory of your own`,
    );
  }
  return logs;
}

async function startProgram(title: string, options: ChildProgramOptions): Promise<Supervised> {
  await rm(options.logFile, { force: true });
  try {
    return await supervise(() => startChildProgram(options));
  } catch (error) {
    throw new CommandError(`${title} did not start: ${failureSentence(error)}`);
  }
}

function whereThingsAre(data: string, logs: string): string {
  return [
    "",
    `Data   ${data}`,
    `Tokens ${join(data, "tokens", "service.token")}   for services`,
    `       ${join(data, "tokens", "admin.token")}   for you: "pulse token create" and so on`,
    `Logs   ${join(logs, "pulse.log")}`,
    `       ${join(logs, "haul.log")}`,
    "",
    "Ctrl-C ends both.",
    "",
  ].join("\n");
}

interface Shown {
  readonly pulse: Supervised;
  readonly haul: Supervised;
  readonly target: PulseTarget;
  readonly serviceToken: string;
}

async function showUntil(signal: AbortSignal, shown: Shown): Promise<void> {
  const screen = createScreen(process.stdout);
  const { url, ...security } = shown.target;
  const connection = connectPulse({
    ...security,
    pulse: url,
    token: async () => (await readIfPresent(shown.serviceToken))?.trim() ?? "",
    retry: "never",
  });
  let tables = "";
  while (!signal.aborted) {
    try {
      tables = await registryTables(connection);
    } catch (error) {
      tables = `Pulse does not answer: ${failureSentence(error)}`;
    }
    screen.show(`${programLines(shown.pulse.state, shown.haul.state)}\n\n${tables}`);
    await sleep(systemClock, REFRESH_INTERVAL_MS, signal).catch(() => {});
  }
  connection.close();
}
