import type { ReadableStream } from "node:stream/web";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HAUL, TestPulse } from "../support/pulse.js";

// Requests that are no message, as HTTP/1.1 carries them. What they are made of may be a
// secret in the wrong place: no answer repeats it.

const SECRET = "S3CRET-S3CRET-S3CRET";
const REGISTER = "/pulse.v1.RegistryService/Register";
const LIST = "/pulse.v1.RegistryService/ListServices";
const WATCH = "/pulse.v1.RegistryService/WatchServices";

let pulse: TestPulse;
let token: string;
beforeAll(async () => {
  pulse = await TestPulse.start();
  token = await pulse.fileToken("admin");
});
afterAll(() => pulse.stop());

function post(
  path: string,
  type: string,
  body: Uint8Array | string | ReadableStream,
  headers = {},
) {
  return fetch(pulse.server.url + path, {
    method: "POST",
    duplex: "half",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": `application/${type}`,
      ...headers,
    },
    body,
  });
}

function enveloped(body: string | Uint8Array, flag = 0): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** A field of length 100 that ends before it begins. */
const CUT_OFF = Buffer.from([0x0a, 100]);

describe("JSON", () => {
  it.each([
    ["half of it", `{"serviceApiKey": "${SECRET}`, /it is no JSON/],
    ["a word in it", `{"serviceApiKey": ${SECRET}}`, /it is no JSON/],
    ["a text where a message belongs", `{"service": "${SECRET}"}`, /no pulse\.v1\.RegisterRequest/],
    [
      "a secret in a list",
      `{"serviceApiKey": ["${SECRET}"]}`,
      /field pulse\.v1\.RegisterRequest\.service_api_key cannot be read/,
    ],
    ["a secret as a duration", `{"requestedTtl": "${SECRET}"}`, /RegisterRequest/],
    ["no object", `"${SECRET}"`, /does not have the form/],
  ])("with %s is INVALID_ARGUMENT, and says where", async (_, body, where) => {
    const answers = [
      await post(REGISTER, "json", body),
      await post(REGISTER, "json; charset=utf-8", gzipSync(body), { "content-encoding": "gzip" }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(400);
      const { code, message } = (await answer.json()) as { code: string; message: string };
      expect(code).toBe("invalid_argument");
      expect(message).toMatch(where);
      expect(message).not.toContain("S3CRET");
    }
  });

  it("in the query of a GET is refused alike", async () => {
    const query = `encoding=json&message=${encodeURIComponent(`{"pageSize": "${SECRET}"}`)}`;
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${pulse.server.url}${LIST}?connect=v1&${query}`, { headers });
    expect(answer.status).toBe(400);
    const text = await answer.text();
    expect(text).toContain("page_size cannot be read");
    expect(text).not.toContain("S3CRET");
    const good = await fetch(`${pulse.server.url}${LIST}?connect=v1&encoding=json&message=%7B%7D`, {
      headers,
    });
    expect(good.status).toBe(200);
  });

  it("that opens a stream ends it with INVALID_ARGUMENT", async () => {
    const answer = await post(WATCH, "connect+json", enveloped(`{"type": ["${SECRET}"]}`));
    const text = await answer.text();
    expect(text).toContain('"code":"invalid_argument"');
    expect(text).not.toContain("S3CRET");
  });
});

describe("binary that is no message", () => {
  it("is INVALID_ARGUMENT over Connect", async () => {
    const answer = await post(REGISTER, "proto", CUT_OFF);
    expect([answer.status, await answer.json()]).toEqual([
      400,
      {
        code: "invalid_argument",
        message: "the request is no pulse.v1.RegisterRequest: premature EOF",
      },
    ]);
  });

  it.each([
    ["whole", enveloped(CUT_OFF), {}],
    ["compressed", enveloped(gzipSync(CUT_OFF), 1), { "grpc-encoding": "gzip" }],
  ])("is INVALID_ARGUMENT over gRPC-Web, %s", async (_, body, headers) => {
    const answer = await post(REGISTER, "grpc-web+proto", body, headers);
    expect(await answer.text()).toContain("grpc-status: 3");
  });

  it("is INVALID_ARGUMENT in a stream", async () => {
    const answer = await post(WATCH, "connect+proto", enveloped(CUT_OFF));
    expect(await answer.text()).toContain('"code":"invalid_argument"');
  });
});

it("a message that is longer than it may be is RESOURCE_EXHAUSTED, packed or not", async () => {
  const long = JSON.stringify({ ...HAUL, serviceApiKey: "x".repeat(5 * 1_024 * 1_024) });
  const inPieces = new Blob([long]).stream();
  for (const answer of [
    await post(REGISTER, "json", long),
    await post(REGISTER, "json", gzipSync(long), { "content-encoding": "gzip" }),
    await post(REGISTER, "json", inPieces),
    await post(WATCH, "connect+json", enveloped(long)),
  ])
    expect(await answer.text()).toContain('"code":"resource_exhausted"');
  // The connections of these are good for others.
  for (let i = 0; i < 4; i++) expect((await post(LIST, "json", "{}")).status).toBe(200);
});

it("a message that is one is taken in every encoding, packed too", async () => {
  const json = JSON.stringify(HAUL);
  const answers = [
    await post(REGISTER, "json", json),
    await post(REGISTER, "json", gzipSync(json), { "content-encoding": "gzip" }),
    await post(LIST, "proto", ""),
    await post(LIST, "grpc-web+json", enveloped("{}")),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});
