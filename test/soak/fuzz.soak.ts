import { toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import {
  HeartbeatRequestSchema,
  RegisterRequestSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { openSqliteStore } from "../../src/store/sqlite.js";
import { pathOf } from "../../src/wire/mount.js";
import { damaged, messageOf, nearly } from "../fuzz/arbitrary.js";
import { expectWholeRecords } from "../fuzz/invariants.js";
import { figure } from "../support/figures.js";
import { MEMORY_PROBE, memoryOf } from "../support/preload.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";
import { seededRandom } from "../support/seeded-random.js";
import { soak } from "../support/soak.js";
import { Stack } from "../support/stack.js";

const HEARTBEATS = soak(1_000_000, 20_000);
const REGISTERS = soak(100_000, 2_000);
/** Inputs are made this many at a time. */
const CHUNK = 1_000;
/** Calls that wait for their answers. */
const IN_FLIGHT = 32;
/** One heartbeat of so many is damaged, and ends its stream. */
const DAMAGED_EACH = 200;
const INSTANCES = 500;
/** Of the heap once it is warm, to the end. */
const MOST_GROWTH_BYTES = 25e6;

/** What the server may say to such inputs. */
const HONEST = [grpc.status.OK, grpc.status.INVALID_ARGUMENT, grpc.status.PERMISSION_DENIED];

class RawClient {
  readonly #client: grpc.Client;
  readonly #metadata = new grpc.Metadata();

  constructor(port: number, token: string) {
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    this.#metadata.set("authorization", `Bearer ${token}`);
  }

  register(bytes: Uint8Array): Promise<grpc.status> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        pathOf(RegistryService.method.register),
        (request: Uint8Array) => Buffer.from(request),
        () => undefined,
        bytes,
        this.#metadata,
        (error) => resolve(error?.code ?? grpc.status.OK),
      );
    });
  }

  /** Sends all of it on one stream; resolves to how many answers came, and the end. */
  beat(requests: readonly Uint8Array[]): Promise<{ answers: number; code: grpc.status }> {
    const call = this.#client.makeBidiStreamRequest(
      pathOf(RegistryService.method.heartbeat),
      (bytes: Uint8Array) => Buffer.from(bytes),
      () => ({}),
      this.#metadata,
    );
    let answers = 0;
    call.on("data", () => answers++);
    call.on("error", () => {});
    for (const bytes of requests) call.write(bytes);
    call.end();
    return new Promise((resolve) => {
      call.on("status", ({ code }) => resolve({ answers, code }));
    });
  }

  close(): void {
    this.#client.close();
  }
}

it("a million heartbeats and 100,000 registrations of any content crash nothing, leak nothing, and store nothing by halves", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse(MEMORY_PROBE);
  const client = new RawClient(stack.port, await stack.token());
  onTestFinished(() => client.close());
  const { registry } = stack.connect();
  const seed = Number(process.env.PULSE_SEED ?? 6);

  const instances = Array.from({ length: INSTANCES }, (_, i) => `fuzz-${i}`);
  const known = { instance_id: instances, instance_secret: [HAUL.instanceSecret] };
  const register = fc
    .oneof(
      messageOf(RegisterRequestSchema, known),
      ...instances
        .slice(0, 40)
        .map((instanceId) => nearly(RegisterRequestSchema, { ...HAUL, instanceId }, known)),
    )
    .map((message) => toBinary(RegisterRequestSchema, message));
  const outcomes = new Map<string, number>();
  const count = (code: grpc.status) => {
    expect(HONEST).toContain(code);
    const name = grpc.status[code] ?? String(code);
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
  };
  await inChunks(
    REGISTERS,
    fc.oneof(register, register, damaged(register)),
    seed,
    async (inputs) => {
      for (let from = 0; from < inputs.length; from += IN_FLIGHT)
        for (const code of await Promise.all(
          inputs.slice(from, from + IN_FLIGHT).map((bytes) => client.register(bytes)),
        ))
          count(code);
    },
  );
  for (const [code, times] of outcomes) figure("fuzz", `registers that ended with ${code}`, times);

  const leases = await Promise.all(
    ["beat-1", "beat-2", "beat-3"].map(async (instanceId) => {
      const { lease } = await registry.register({ ...HAUL, instanceId, requestedTtl: LONG_TTL });
      return lease?.id ?? "";
    }),
  );
  const beats = fc
    .oneof(
      messageOf(HeartbeatRequestSchema, { lease_id: leases }),
      ...leases.map((leaseId) => nearly(HeartbeatRequestSchema, { leaseId, sequence: 1n })),
    )
    .map((message) => toBinary(HeartbeatRequestSchema, message));
  const warm = await memoryOf(pulse);
  let turn = 0;
  await inChunks(HEARTBEATS, beats, seed, async (inputs) => {
    const [broken] = fc.sample(damaged(beats), { numRuns: 1, seed: seed + turn++ });
    for (let from = 0; from < inputs.length; from += DAMAGED_EACH) {
      const requests = inputs.slice(from, from + DAMAGED_EACH);
      const whole = await client.beat(requests);
      expect(whole).toEqual({ answers: requests.length, code: grpc.status.OK });
    }
    const { code } = await client.beat(broken ? [broken] : []);
    expect([grpc.status.OK, grpc.status.INVALID_ARGUMENT]).toContain(code);
  });

  const after = await memoryOf(pulse);
  figure(
    "fuzz",
    "heap of Pulse before and after the heartbeats, MB",
    `${warm.heapUsed / 1e6} and ${after.heapUsed / 1e6}`,
  );
  expect(after.heapUsed - warm.heapUsed).toBeLessThan(MOST_GROWTH_BYTES);
  const { services } = await registry.listServices({});
  expect(services.length).toBeGreaterThan(10);
  const bugs = pulse.lines.filter(
    ({ level, msg }) => Number(level) >= 50 || msg === "rpc.internal_error",
  );
  expect(bugs).toEqual([]);
  expect(await pulse.stop()).toEqual({ code: 0, signal: null });
  const store = await openSqliteStore({ directory: stack.dataDirectory, random: seededRandom() });
  expectWholeRecords(await store.load());
  await store.close();
});

/** Makes so many inputs, some at a time, the same ones for the same seed. */
async function inChunks(
  total: number,
  inputs: fc.Arbitrary<Uint8Array>,
  seed: number,
  use: (inputs: readonly Uint8Array[]) => Promise<void>,
): Promise<void> {
  for (let done = 0; done < total; done += CHUNK)
    await use(fc.sample(inputs, { numRuns: Math.min(CHUNK, total - done), seed: seed + done }));
}
