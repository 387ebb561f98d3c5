import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HAUL, TestPulse } from "../support/pulse.js";
import { describeContract, type PulseUnderTest, TestNodes } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

const key = () => randomBytes(32).toString("hex");

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  const admin = async () => pulse.clients(protocol, await pulse.fileToken("admin"));
  beforeAll(async () => {
    pulse = await start();
    await pulse.clients(protocol, await pulse.fileToken("service")).registry.register(HAUL);
  });
  afterAll(() => pulse.stop());

  it("rotates the key of one Pulse unnoticed, and tells several what to do first", async () => {
    const { secrets, downloadClients } = await admin();
    const before = await downloadClients.listDownloadClients({});
    if (pulse instanceof TestNodes) {
      const { secretKey } = pulse;
      const refused = await failure(secrets.rotateSecrets({}));
      expect(refused).toMatchObject({ code: "FailedPrecondition", reason: "NO_NEW_KEY" });
      expect(JSON.stringify(refused)).not.toContain(secretKey);
      return;
    }
    const first = await secrets.rotateSecrets({});
    expect(first).toMatchObject({ reencrypted: 1n });
    expect(first.keyId).toMatch(/^[0-9a-f]{8}$/);
    expect((await secrets.rotateSecrets({})).retiredKeyIds).toEqual([first.keyId]);
    expect(await downloadClients.listDownloadClients({})).toEqual(before);
    await pulse.restart();
    const after = await (await admin()).downloadClients.listDownloadClients({});
    expect(after.downloadClients[0]?.password).toBe(HAUL.serviceApiKey);
  });
});

describe("a Pulse that is given its keys", () => {
  it("tells what to do, and rotates once it has a new one first", async () => {
    const [older, newer] = [key(), key()];
    const start = (dataDirectory?: string, secretKey = older) =>
      TestPulse.start({ secretKey, ...(dataDirectory === undefined ? {} : { dataDirectory }) });
    const first = await start();
    const clients = (pulse: TestPulse) =>
      pulse.fileToken("admin").then((token) => pulse.clients("gRPC", token));
    await (await clients(first)).registry.register(HAUL);
    const refused = await failure((await clients(first)).secrets.rotateSecrets({}));
    expect(refused).toMatchObject({ code: "FailedPrecondition", reason: "NO_NEW_KEY" });
    expect(refused.message).toMatch(/PULSE_SECRET_KEY=NEW,OLD/);
    await first.server.stop();

    const second = await start(first.dataDirectory, `${newer},${older}`);
    const rotation = await (await clients(second)).secrets.rotateSecrets({});
    expect(rotation).toMatchObject({ reencrypted: 1n, retiredKeyIds: [expect.any(String)] });
    const { keyId, retiredKeyIds } = rotation;
    const said = second.log.lines.find(({ msg }) => msg === "secrets.rotated");
    expect(said?.fields).toEqual({ keyId, reencrypted: 1, retiredKeyIds });
    await second.server.stop();

    const third = await start(first.dataDirectory, newer);
    const { downloadClients } = await clients(third);
    const list = await downloadClients.listDownloadClients({});
    expect(list.downloadClients[0]?.password).toBe(HAUL.serviceApiKey);
    await Promise.all([first, second].map((pulse) => pulse.stop()));
    await third.stop();
  });
});
