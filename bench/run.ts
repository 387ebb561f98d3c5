import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Bench, Effort, Scenario } from "./bench.js";
import { describeMachine } from "./machine.js";
import { startGenerator } from "./processes.js";
import { renderProfiles } from "./profile.js";
import { renderReport } from "./report.js";
import { failuresOf, type Result } from "./results.js";
import { attachScenario } from "./scenarios/attach.js";
import { fanOutScenario } from "./scenarios/fan-out.js";
import { fleetScenario } from "./scenarios/fleet.js";
import { haulScenario } from "./scenarios/haul.js";
import { heartbeatScenario } from "./scenarios/heartbeat.js";
import { listScenario } from "./scenarios/list.js";
import { registerScenario } from "./scenarios/register.js";
import { storeScenario } from "./scenarios/store.js";

const SCENARIOS: readonly Scenario[] = [
  registerScenario,
  heartbeatScenario,
  listScenario,
  fleetScenario,
  fanOutScenario,
  attachScenario,
  haulScenario,
  storeScenario,
];

const FULL: Effort = {
  rounds: 5,
  windowMs: 550,
  warmUpMs: 1_800,
  fleets: [1_000, 5_000],
  settleMs: 1_200,
  watchers: 1_000,
  changesPerRound: 20,
  starts: 10,
  registers: 100,
  haul: { starts: 10, probes: 200, logIns: 20, idleMs: 10_000, restMs: 60_000 },
  store: { callers: [1, 8, 32, 128], rounds: 3, windowMs: 550 },
};

const QUICK: Effort = {
  rounds: 2,
  windowMs: 400,
  warmUpMs: 1_000,
  fleets: [1_000],
  settleMs: 1_000,
  watchers: 1_000,
  changesPerRound: 12,
  starts: 4,
  registers: 40,
  haul: { starts: 3, probes: 60, logIns: 6, idleMs: 3_000, restMs: 20_000 },
  store: { callers: [1, 128], rounds: 2, windowMs: 400 },
};

interface Options {
  readonly quick?: boolean;
  readonly only?: Scenario[];
  readonly json?: string | true;
  readonly profile?: boolean;
}

const RESULTS = join(import.meta.dirname, "results");

const options = new Command("bench")
  .description(
    "measures Pulse beside a bare grpc-js server, raw HTTP/2 and bare inserts, and Haul beside real download clients, in one run",
  )
  .addOption(new Option("--quick", "about two minutes, less exact, 1,000 services at most"))
  .addOption(
    new Option("--only <scenario>", `one of ${names(SCENARIOS)}; may be given again`).argParser(
      (name: string, before: Scenario[] = []) => [...before, scenarioOf(name)],
    ),
  )
  .addOption(new Option("--json [file]", "write JSON to this file, or else to stdout alone"))
  .addOption(
    new Option("--profile", "write CPU profiles of Pulse to bench/results; it costs speed"),
  )
  .parse()
  .opts<Options>();

// Beside the sources, where the disk is real: the system's temporary directory may be memory.
mkdirSync(RESULTS, { recursive: true });
const dataDirectory = mkdtempSync(join(RESULTS, "data-"));
chmodSync(dataDirectory, 0o711); // PostgreSQL runs as nobody if this runs as root
process.once("exit", () => rmSync(dataDirectory, { recursive: true, force: true, maxRetries: 5 }));
process.once("SIGINT", () => process.exit(130)); // the servers end when they lose this process
const machine = describeMachine(dataDirectory);
const generator = startGenerator(
  typeof machine.pinning === "string" ? undefined : machine.pinning.generator,
);
const bench: Bench = {
  machine,
  effort: options.quick ? QUICK : FULL,
  generator: generator.api,
  profileDirectory: options.profile ? mkdtempSync(join(RESULTS, "profiles-")) : undefined,
};
const startedAt = performance.now();
const results: Result[] = [];
try {
  for (const scenario of options.only ?? SCENARIOS) {
    process.stderr.write(`${scenario.name} …\n`);
    results.push(...(await scenario.run(bench)));
  }
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
} finally {
  await generator.stop();
}
const seconds = (performance.now() - startedAt) / 1_000;

const json = `${JSON.stringify({ machine, effort: bench.effort, seconds, results }, null, 2)}\n`;
if (options.json === true) process.stdout.write(json);
else {
  const file = resolve(options.json ?? join(RESULTS, `${fileStamp()}.json`));
  writeFileSync(file, json);
  console.log(`\n${renderReport(machine, results)}\n\n${seconds.toFixed(0)} s; JSON in ${file}`);
  if (bench.profileDirectory)
    console.log(
      `\nPulse's own time, from ${bench.profileDirectory}\n\n${renderProfiles(bench.profileDirectory)}`,
    );
}

if (results.some((result) => failuresOf(result).length > 0)) process.exitCode = 1;

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find((candidate) => candidate.name === name);
  if (!scenario) throw new InvalidArgumentError(`Give one of ${names(SCENARIOS)}.`);
  return scenario;
}

function names(scenarios: readonly Scenario[]): string {
  return scenarios.map(({ name }) => name).join(", ");
}

function fileStamp(): string {
  return new Date().toISOString().replace(/[:.]/g, "-");
}
