import { defineConfig } from "vitest/config";

/** Tests in real time, of whole programs, that mostly wait, and bear it if others work meanwhile. */
const SCENARIO_TESTS = ["test/{reliability,scenario}/**/*.test.ts"];
/** Tests in real time of what works all the time: one at a time, or they would slow each other down. */
const SYSTEM_TESTS = [
  "test/contract/**/*.test.ts",
  "test/attack/**/*.test.ts",
  "test/package.test.ts",
];

const PATIENCE = { testTimeout: 20_000, hookTimeout: 30_000 };

export default defineConfig({
  test: {
    // Here and not in the projects, which would each build, and have a PostgreSQL of their own.
    globalSetup: ["test/support/build-setup.ts", "test/support/postgres-setup.ts"],
    reporters: process.env.CI
      ? ["default", ["json", { outputFile: "dist/test-results.json" }]]
      : ["default"],
    projects: [
      {
        test: {
          name: "rooms",
          include: ["test/**/*.test.ts"],
          exclude: [...SCENARIO_TESTS, ...SYSTEM_TESTS],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          ...PATIENCE,
        },
      },
      {
        test: {
          name: "scenarios",
          include: SCENARIO_TESTS,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...PATIENCE,
        },
      },
      {
        test: {
          name: "system",
          include: SYSTEM_TESTS,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...PATIENCE,
        },
      },
    ],
  },
});
