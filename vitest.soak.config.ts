import { defineConfig } from "vitest/config";

/** What takes minutes: see test/soak. */
export default defineConfig({
  test: {
    include: ["test/soak/**/*.soak.ts"],
    testTimeout: 45 * 60_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    reporters: process.env.CI
      ? ["verbose", ["json", { outputFile: "dist/soak-results.json" }]]
      : ["verbose"],
    globalSetup: ["test/support/build-setup.ts", "test/support/postgres-setup.ts"],
  },
});
