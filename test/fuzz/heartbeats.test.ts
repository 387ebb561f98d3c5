import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { pathOf } from "../../src/wire/mount.js";
import { HAUL, LONG_TTL, TestPulse } from "../support/pulse.js";
import { damaged, messageOf, nearly } from "./arbitrary.js";

const RUNS = 150;
const { heartbeat } = RegistryService.method;

let pulse: TestPulse;
let client: grpc.Client;
let metadata: grpc.Metadata;
beforeAll(async () => {
  pulse = await TestPulse.start();
  client = new grpc.Client(new URL(pulse.server.url).host, grpc.credentials.createInsecure());
  metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${await pulse.fileToken("service")}`);
});
afterAll(async () => {
  client.close();
  await pulse.stop();
});

interface Ended {
  readonly answers: readonly Buffer[];
  readonly code: grpc.status;
}

/** Sends all of it on one stream, half-closes, and waits for the end. */
function beat(requests: readonly Uint8Array[]): Promise<Ended> {
  const call = client.makeBidiStreamRequest(
    pathOf(heartbeat),
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes) => bytes,
    metadata,
    { deadline: Date.now() + 10_000 },
  );
  const answers: Buffer[] = [];
  call.on("data", (bytes: Buffer) => answers.push(bytes));
  call.on("error", () => {});
  for (const bytes of requests) call.write(bytes);
  call.end();
  return new Promise((resolve) => {
    call.on("status", ({ code }) => resolve({ answers, code }));
  });
}

async function leases(): Promise<string[]> {
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  const registered = ["beat-1", "beat-2"].map((instanceId) =>
    registry.register({ ...HAUL, instanceId, requestedTtl: LONG_TTL }),
  );
  return (await Promise.all(registered)).map(({ lease }) => lease?.id ?? "");
}

it("each heartbeat is answered once and in order, whatever it says", async () => {
  const known = { lease_id: [...(await leases()), "unknown"] };
  const whole = fc.oneof(
    messageOf(HeartbeatRequestSchema, known),
    nearly(HeartbeatRequestSchema, { leaseId: known.lease_id[0], sequence: 1n }, known),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(whole, { minLength: 1, maxLength: 8 }), async (messages) => {
      const requests = messages.map((message) => toBinary(HeartbeatRequestSchema, message));
      const { answers, code } = await beat(requests);
      expect(code).toBe(grpc.status.OK);
      const asked = requests.map((bytes) => fromBinary(HeartbeatRequestSchema, bytes).leaseId);
      const answered = answers.map((bytes) => {
        const { event } = fromBinary(HeartbeatResponseSchema, bytes);
        return event.case === "renewed" || event.case === "leaseLost" ? event.value.leaseId : "";
      });
      expect(answered).toEqual(asked);
    }),
    { numRuns: RUNS },
  );
  expect(pulse.log.lines.filter(({ level }) => level === "error")).toEqual([]);
});

it("a damaged heartbeat ends its stream alone, with a code that says whose fault it is", async () => {
  const [lease = ""] = await leases();
  const bytes = messageOf(HeartbeatRequestSchema, { lease_id: [lease] }).map((message) =>
    toBinary(HeartbeatRequestSchema, message),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(damaged(bytes), { maxLength: 6 }), async (requests) => {
      const { code } = await beat(requests);
      expect([grpc.status.OK, grpc.status.INVALID_ARGUMENT]).toContain(code);
    }),
    { numRuns: RUNS },
  );
  expect(pulse.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  const [again = ""] = await leases();
  const honest = toBinary(HeartbeatRequestSchema, {
    ...{ $typeName: "pulse.v1.HeartbeatRequest", leaseId: again, sequence: 1n },
    ...{ status: 0, goodbye: false, statusReason: "", credentialState: 0 },
  });
  const { answers } = await beat([honest]);
  expect(answers.map((each) => fromBinary(HeartbeatResponseSchema, each).event.case)).toEqual([
    "renewed",
  ]);
});
