import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/postgres-setup.ts",
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: process.env.CI
      ? ["default", ["json", { outputFile: "dist/test-results.json" }]]
      : ["default"],
  },
});
