import { createClient } from "@connectrpc/connect";
import { beforeEach, expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { eventually } from "./eventually.js";
import { HeartbeatClient } from "./heartbeat-client.js";
import { SlowPulse } from "./slow-pulse.js";

let slow: SlowPulse;
let open: () => HeartbeatClient;

beforeEach(async () => {
  slow = await SlowPulse.start(5_000);
  const transport = createGrpcTransport({ address: slow.url });
  const registry = createClient(RegistryService, transport);
  open = () => new HeartbeatClient(registry);
  return () => {
    transport.close();
    slow.close();
  };
});

it("a slow Pulse sees one heartbeat of a lease in flight if each waits for its answer", async () => {
  slow.answerMs = 50;
  const stream = open();
  stream.send({ leaseId: "another", sequence: 1n });
  for (const sequence of [1n, 2n]) {
    stream.send({ leaseId: "lease", sequence });
    await eventually(async () => {
      const { value } = await stream.event();
      expect(value).toMatchObject({ leaseId: "lease", sequence });
    });
  }
  expect(slow.mostInFlight).toBe(1);
});

it("a slow Pulse sees two on one stream, and one on each of two", async () => {
  slow.answerMs = 60_000;
  const [one, two, three] = [open(), open(), open()];
  for (const stream of [one, two]) stream.send({ leaseId: "lease", sequence: 1n });
  await eventually(() => expect(slow.mostInFlight).toBe(2));
  for (const leaseId of ["a", "b", "b", "b"]) three.send({ leaseId, sequence: 1n });
  await eventually(() => expect(slow.mostInFlight).toBe(3));
});

it("a slow Pulse counts none of a stream that was dropped", async () => {
  slow.answerMs = 60_000;
  const old = open();
  old.send({ leaseId: "lease", sequence: 1n });
  const unanswered = expect(old.event()).rejects.toThrow("aborted");
  await eventually(() => expect(slow.beats).toHaveLength(1));
  open().send({ leaseId: "lease", sequence: 2n });
  old.break();
  await unanswered;
  await eventually(() => expect(slow.beats).toHaveLength(2));
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(slow.mostInFlight).toBe(1);
});
