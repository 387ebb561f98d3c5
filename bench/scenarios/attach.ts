import type { ManagerApi } from "../attach/manager.js";
import { measureNode, type Started, startBareRegistrant, startHaul } from "../attach/starts.js";
import { type Bench, type Scenario, withServers } from "../bench.js";
import type { Target } from "../generator/connection.js";
import type { RegisterTimes } from "../generator/registers.js";
import { startManager } from "../processes.js";
import type { Remote } from "../remote.js";
import type { AttachResult } from "../results.js";
import { quantilesOf, spreadOf } from "../statistics.js";
import { sleep } from "../waiting.js";

const MAX_START_MS = 300;
const MAX_CALLBACK_MS = 20;
const PAUSE_MS = 15;
const TIMEOUT_MS = 10_000;
/** Registers that come before those that are measured: all who take part have run their code then. */
const WARM_UP = 20;

/** From a program's start, or from a Register, until a manager is called. */
export const attachScenario: Scenario = {
  name: "attach",
  run: (bench) =>
    withServers(
      bench,
      async ([pulse]) => {
        if (!pulse) throw new Error("no server");
        const manager = startManager();
        try {
          return [await measureAttach(bench, pulse.target, manager.api)];
        } finally {
          await manager.stop();
        }
      },
      ["Pulse"],
    ),
};

async function measureAttach(
  bench: Bench,
  target: Target,
  manager: Remote<ManagerApi>,
): Promise<AttachResult> {
  const { starts, registers } = bench.effort;
  await manager.watch(`http://127.0.0.1:${target.port}`, target.token);
  const registered = await bench.generator.registerInTurn(target, WARM_UP + registers, PAUSE_MS);
  const callbacks = await callbacksOf(manager, registered.slice(WARM_UP));
  const nodeMs: number[] = [];
  const bareMs: number[] = [];
  const haulMs: number[] = [];
  for (let i = 0; i < starts; i++) {
    nodeMs.push(await measureNode());
    bareMs.push(await untilCallback(manager, startBareRegistrant(target, registered.length + i)));
    const haul = startHaul(target, `attached-${i}`, bench.machine.dataDirectory);
    haulMs.push(await untilCallback(manager, haul));
  }
  return resultOf({ nodeMs, bareMs, haulMs }, callbacks);
}

interface Callback {
  readonly fromSentMs: number;
  readonly fromReplyMs: number;
}

/**
 * The commit itself has no moment that another process could see. It lies between
 * the call and its answer, so both are told, and the aim is held against the call:
 * that time has the way to Pulse and the commit in it.
 */
function callbacksOf(
  manager: Remote<ManagerApi>,
  registered: readonly RegisterTimes[],
): Promise<Callback[]> {
  return Promise.all(
    registered.map(async ({ name, sentAtMs, repliedAtMs }) => {
      const atMs = await manager.onlineAtMs(name, TIMEOUT_MS);
      return { fromSentMs: atMs - sentAtMs, fromReplyMs: atMs - repliedAtMs };
    }),
  );
}

async function untilCallback(manager: Remote<ManagerApi>, started: Started): Promise<number> {
  try {
    const atMs = await Promise.race([manager.onlineAtMs(started.name, TIMEOUT_MS), started.failed]);
    return atMs - started.spawnedAtMs;
  } finally {
    await started.stop();
    await sleep(PAUSE_MS);
  }
}

function resultOf(
  times: Readonly<Record<"nodeMs" | "bareMs" | "haulMs", readonly number[]>>,
  callbacks: readonly Callback[],
): AttachResult {
  const haulMs = spreadOf(times.haulMs);
  const fromSentMs = quantilesOf(callbacks.map((callback) => callback.fromSentMs));
  return {
    kind: "attach",
    starts: times.haulMs.length,
    nodeMs: spreadOf(times.nodeMs),
    bareMs: spreadOf(times.bareMs),
    haulMs,
    registers: callbacks.length,
    fromSentMs,
    fromReplyMs: quantilesOf(callbacks.map((callback) => callback.fromReplyMs)),
    startVerdict: { aim: `≤ ${MAX_START_MS} ms`, isMet: haulMs.median <= MAX_START_MS },
    callbackVerdict: { aim: `≤ ${MAX_CALLBACK_MS} ms`, isMet: fromSentMs.p50 <= MAX_CALLBACK_MS },
  };
}
