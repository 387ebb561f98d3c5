import type { Scenario } from "../bench.js";
import { compare } from "../compare.js";

/** More than are in flight, so that no instance registers twice at once. */
const SERVICES = 1_000;

/** Durable Registers: a fleet of services registers in turn, again and again. */
export const registerScenario: Scenario = {
  name: "register",
  run: async (bench) => [
    await compare(bench, {
      name: "durable Register",
      shape: "100 in flight: 10 connections × 10",
      aim: 2.5,
      open: (target) =>
        bench.generator.openRegisters(
          target,
          { connections: 10, streamsPerConnection: 10 },
          SERVICES,
        ),
    }),
  ],
};
