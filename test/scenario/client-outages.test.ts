import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { REAL_CLIENTS } from "../support/download-clients/real-clients.js";
import { figure } from "../support/figures.js";
import { startFrontingHaul } from "../support/fronting-haul.js";
import { startLoginFront } from "../support/login-front.js";
import { type Manager, startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import { Stack } from "../support/stack.js";

// What a manager is told while things happen to the download client behind Haul.

const NAME = "box";
/** One probe interval, and what a busy machine needs for a probe. */
const NOTICED_MS = 10_000 + 5_000;
/** After some backoff. */
const BACK_MS = 45_000;

let stack: Stack;
let manager: Manager;
beforeEach(async () => {
  stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await stack.startPulse();
  manager = startManager(stack);
});

for (const real of REAL_CLIENTS)
  describe.skipIf(real.isMissing)(real.name, { timeout: 150_000 }, () => {
    it("killed is OFFLINE within one probe interval, and ONLINE when it is back", async () => {
      const client = await real.start();
      await startFrontingHaul(stack, NAME, client);
      const before = await manager.entryIs(NAME, "ONLINE", 20_000);
      await client.kill();
      const killedAt = performance.now();
      await manager.entryIs(NAME, "OFFLINE", NOTICED_MS);
      figure("haul", `ms until a killed ${real.name} is OFFLINE`, performance.now() - killedAt);
      await client.start();
      const back = await manager.entryIs(NAME, "ONLINE", BACK_MS);
      expect(back.id).toBe(before.id);
      expect(await versionByEntry(back)).toBe(back.version);
    });

    it("with another password refuses one log-in, and is ONLINE when Haul's file is mended", async () => {
      const client = await real.start();
      const front = await startLoginFront(client);
      const haul = await startFrontingHaul(stack, NAME, client, front.url);
      await manager.entryIs(NAME, "ONLINE", 20_000);
      await client.changePassword("another password");
      const degraded = await manager.entryIs(NAME, "DEGRADED", BACK_MS);
      expect(degraded).toMatchObject({
        availabilityReason: "download client refuses the credentials",
        credentialState: CredentialState.REJECTED,
      });
      await sleep(12_000); // longer than a probe interval, in which it must not ask again
      expect(front.refusedLogins).toBe(1);
      expect([undefined, 1]).toContain(await client.refusedLogins());

      await haul.writePassword(client.password);
      const mended = await manager.entryIs(NAME, "ONLINE", BACK_MS);
      expect(mended).toMatchObject({
        password: client.password,
        credentialState: CredentialState.VERIFIED,
      });
      expect(await versionByEntry(mended)).toBe(mended.version);
      expect(front.refusedLogins).toBe(1);
    });
  });
