import { describe, expect, it, onTestFinished } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { NEWER_CLIENTS, REAL_CLIENTS } from "../support/download-clients/real-clients.js";
import { figure } from "../support/figures.js";
import { startFrontingHaul } from "../support/fronting-haul.js";
import { startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import { Stack } from "../support/stack.js";

// Every kind of download client that Haul fronts, headless, in the versions of two Debians.

const NAME = "box";

for (const real of [...REAL_CLIENTS, ...NEWER_CLIENTS])
  describe.skipIf(real.isMissing)(real.name, { timeout: 90_000 }, () => {
    it("is found by a manager that knows Pulse alone, and logs in to it", async () => {
      const stack = await Stack.create();
      onTestFinished(() => stack.stop());
      const [client] = await Promise.all([real.start(), stack.startPulse()]);
      const manager = startManager(stack);
      const startedAt = performance.now();
      await startFrontingHaul(stack, NAME, client);
      const entry = await manager.entryIs(NAME, "ONLINE", 20_000);
      const version = await versionByEntry(entry);
      figure("haul", `ms from haul run to a log-in to ${real.name}`, performance.now() - startedAt);
      expect(version).toMatch(/^\d+\.\d/);
      expect(entry).toMatchObject({
        kind: client.kind,
        version,
        username: client.username,
        password: client.password,
        credentialState: CredentialState.VERIFIED,
      });
    });
  });
