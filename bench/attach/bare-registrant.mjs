// The least program that can register on grpc-js: what Haul needs beyond it, its work and its
// comfort need. Plain JavaScript, so that it starts as fast as can be.

import { Client, credentials, Metadata } from "@grpc/grpc-js";

const { BENCH_PULSE = "", BENCH_TOKEN = "", BENCH_PATH = "", BENCH_REQUEST = "" } = process.env;
const asItIs = (/** @type {Buffer} */ bytes) => bytes;
const client = new Client(BENCH_PULSE, credentials.createInsecure());
const metadata = new Metadata();
metadata.set("authorization", `Bearer ${BENCH_TOKEN}`);
const request = Buffer.from(BENCH_REQUEST, "base64");
client.makeUnaryRequest(BENCH_PATH, asItIs, asItIs, request, metadata, (error) => {
  if (error) console.error(error.message);
  client.close();
  process.exitCode = error ? 1 : 0;
});
