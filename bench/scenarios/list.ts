import type { Scenario } from "../bench.js";
import { compare } from "../compare.js";

const ENTRIES = 20;

/** Lists of all the entries there are, credentials included. */
export const listScenario: Scenario = {
  name: "list",
  run: async (bench) => [
    await compare(bench, {
      name: `List of ${ENTRIES}`,
      shape: "100 in flight: 10 connections × 10",
      aim: 1.2,
      open: async (target) => {
        // The entries, and their services stay.
        await bench.generator.openHeartbeats(target, {
          connections: 1,
          streamsPerConnection: ENTRIES,
        });
        const shape = { connections: 10, streamsPerConnection: 10 };
        return bench.generator.openLists(target, shape, ENTRIES);
      },
    }),
  ],
};
