import { describe, expect, it, onTestFinished } from "vitest";
import { CredentialState, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { TestOutcome } from "../../gen/pulse/v1/download_client_service_pb.js";
import { NEWER_CLIENTS, REAL_CLIENTS } from "../support/download-clients/real-clients.js";
import { figure } from "../support/figures.js";
import { startFrontingHaul } from "../support/fronting-haul.js";
import { startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import { Stack } from "../support/stack.js";

// Every kind of download client that Haul fronts, headless, in the versions of two Debians.

const NAME = "box";

/** What an operator says of the same client. */
function byHandOf({ kind, host, port, useSsl, urlBase, username }: DownloadClient) {
  return { name: "by hand", kind, host, port, useSsl, urlBase, username };
}

for (const real of [...REAL_CLIENTS, ...NEWER_CLIENTS])
  describe.skipIf(real.isMissing)(real.name, { timeout: 90_000 }, () => {
    it("is found by a manager that knows Pulse alone and logs in to it, and is tested by Pulse", async () => {
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

      const { downloadClients } = stack.connect("admin");
      expect(await downloadClients.testDownloadClient({ id: entry.id })).toMatchObject({
        outcome: TestOutcome.OK,
        version,
        credentialState: CredentialState.VERIFIED,
      });
      const { downloadClient: byHand } = await downloadClients.createDownloadClient({
        downloadClient: { ...byHandOf(entry), password: "a wrong one" },
      });
      expect(await downloadClients.testDownloadClient({ id: byHand?.id ?? "" })).toMatchObject({
        outcome: TestOutcome.CREDENTIALS_REJECTED,
        message: expect.stringMatching(
          /refuses the (user name or password|password|secret|API key)/,
        ),
        credentialState: CredentialState.REJECTED,
      });
    });
  });
