import { type DescMethod, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite.js";
import { METHODS } from "../support/contract-services.js";
import { HAUL, TestPulse } from "../support/pulse.js";
import { seededRandom } from "../support/seeded-random.js";
import { damaged, type Init, type Known, messageOf, nearly } from "./arbitrary.js";
import { expectWholeRecords } from "./invariants.js";
import { ENCODINGS, Sender } from "./sender.js";
import { CORPUS, expectHonestEnd, shortName } from "./verdict.js";

/** Heartbeat is a stream of requests: it has a test of its own. */
const SINGLE = METHODS.filter(
  ({ methodKind }) => methodKind === "unary" || methodKind === "server_streaming",
);
/** Of each method in each encoding; half of them whole messages, half of them damaged. */
const RUNS = 60;

let pulse: TestPulse;
let sender: Sender;
/** Filled before the properties are made: each of them draws from it. */
const known: Record<string, readonly string[]> = {
  instance_id: ["haul-instance", "fuzz-1", "fuzz-2", "fuzz-3", "a b", "i".repeat(129)],
  instance_secret: [HAUL.instanceSecret],
};

beforeAll(async () => {
  pulse = await TestPulse.start({ forgetAfterMs: Number.POSITIVE_INFINITY });
  sender = new Sender(pulse.server.url, await pulse.fileToken("admin"));
  const { registry, downloadClients } = pulse.clients("gRPC", await pulse.fileToken("admin"));
  const { service, downloadClient } = await registry.register(HAUL);
  // At an address where nobody is: tests of it end at once.
  const { downloadClient: manual } = await downloadClients.createDownloadClient({
    downloadClient: { name: "by hand", kind: "aria2", host: "127.0.0.1", port: 1 },
  });
  known.id = [service?.id ?? "", downloadClient?.id ?? "", manual?.id ?? "", "no such id"];
  known.etag = [downloadClient?.etag ?? "", manual?.etag ?? ""];
});

afterAll(async () => {
  sender.close();
  await pulse.stop();
});

/** What each of these methods takes; others have nothing to refuse, or only an id. */
const VALID: Readonly<Record<string, readonly Init[]>> = {
  "RegistryService/Register": ["fuzz-1", "fuzz-2", "fuzz-3"].map((instanceId) => ({
    ...HAUL,
    instanceId,
  })),
  "DownloadClientService/CreateDownloadClient": [
    {
      downloadClient: {
        ...{ name: "made by hand", kind: "sabnzbd", host: "nas", port: 8080, urlBase: "/sab" },
        ...{ username: "u", password: "p", tags: ["a"], settings: { a: 1 }, priority: 1 },
      },
    },
  ],
  "TokenService/CreateToken": [{ name: "a token", scopes: [3] }],
};

const arbitraryOf = (method: DescMethod, values: Known) => {
  const { input } = method;
  const likely = (VALID[shortName(method)] ?? []).map((valid) => nearly(input, valid, values));
  const whole = fc
    .oneof(messageOf(input, values), ...likely)
    .map((message) => toBinary(input, message));
  return fc.oneof(whole, whole, damaged(whole), damaged(damaged(whole)));
};

describe.each(SINGLE.map((method) => [shortName(method), method] as const))(
  "%s",
  (name, method) => {
    it.each(ENCODINGS)("over %s, whatever is sent, answers or refuses", async (encoding) => {
      const values = name.endsWith("TestDownloadClient") ? { id: ["no such id"] } : known;
      await fc.assert(
        fc.asyncProperty(arbitraryOf(method, values), async (bytes) => {
          expectHonestEnd(await sender.call(encoding, method, bytes), encoding, method, bytes);
        }),
        {
          numRuns: RUNS,
          ...(process.env.PULSE_SEED ? { seed: Number(process.env.PULSE_SEED) } : {}),
        },
      );
    });
  },
);

it.each(CORPUS)("$method answers or refuses what was found earlier: $why", async (entry) => {
  const method = SINGLE.find((each) => shortName(each) === entry.method);
  if (!method) throw new Error(`the corpus names ${entry.method}, which is no method`);
  const bytes = Buffer.from(entry.base64, "base64");
  for (const encoding of ENCODINGS)
    expectHonestEnd(await sender.call(encoding, method, bytes), encoding, method, bytes);
});

it("after all that, an honest call is answered, nothing is half there, and a restart changes nothing", async () => {
  const admin = await pulse.fileToken("admin");
  const look = async () => {
    const { registry, downloadClients, tokens } = pulse.clients("gRPC", admin);
    const { services } = await registry.listServices({});
    return {
      services: services.map(
        ({ lastSeenTime: _, status: _status, statusReason: _reason, ...rest }) => rest,
      ),
      entries: (
        await downloadClients.listDownloadClients({ showDeleted: true })
      ).downloadClients.map(
        ({ availability: _, availabilityReason: _reason, load: _load, etag: _etag, ...rest }) =>
          rest,
      ),
      tokens: (await tokens.listTokens({})).tokens.map(({ id, name, scopes }) => ({
        id,
        name,
        scopes,
      })),
    };
  };
  await pulse.clients("gRPC", admin).registry.register({ ...HAUL, instanceId: "after-all" });
  const before = await look();
  const bugs = pulse.log.lines.filter(({ level }) => level === "error");
  expect(bugs).toEqual([]);
  await pulse.server.stop();
  const store = await openSqliteStore({ directory: pulse.dataDirectory, random: seededRandom() });
  const stored = await store.load();
  expectWholeRecords(stored);
  expect(stored.services.length, "services that fuzzing has made").toBeGreaterThan(2);
  expect(stored.entries.length, "entries that fuzzing has made").toBeGreaterThan(3);
  await store.close();
  await pulse.restart();
  const after = await look();
  expect(after).toEqual(before);
});
