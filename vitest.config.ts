import { defineConfig } from "vitest/config";

/** Tests in real time, of whole programs: one at a time, or they would slow each other down. */
const SYSTEM_TESTS = ["test/{contract,scenario,reliability}/**/*.test.ts", "test/package.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: process.env.CI
      ? ["default", ["json", { outputFile: "dist/test-results.json" }]]
      : ["default"],
    projects: [
      {
        extends: true,
        test: {
          name: "rooms",
          include: ["test/**/*.test.ts"],
          exclude: SYSTEM_TESTS,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          globalSetup: ["test/support/build-setup.ts", "test/support/postgres-setup.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "system",
          include: SYSTEM_TESTS,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          globalSetup: ["test/support/build-setup.ts", "test/support/postgres-setup.ts"],
        },
      },
    ],
  },
});
