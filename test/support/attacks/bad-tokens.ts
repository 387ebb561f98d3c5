import { randomBytes } from "node:crypto";
import { connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { ATTACKER_ADDRESS, type Attack, type AttackConfig, type Harvest } from "./attack.js";

const SESSIONS = 4;
const EMPTY_MESSAGE = Buffer.alloc(5);

/** Calls with a token that nobody has made, each with another one, `count` at a time. */
export const badTokens: Attack = async (config, harvest) => {
  for (let n = 0; n < SESSIONS; n++) begin(config, harvest, Math.ceil(config.count / SESSIONS));
};

function begin(config: AttackConfig, harvest: Harvest, atATime: number): void {
  harvest.opened += 1;
  const session = connect(`http://127.0.0.1:${config.port}`, {
    createConnection: () =>
      connectTcp({ port: config.port, host: "127.0.0.1", localAddress: ATTACKER_ADDRESS }),
  });
  session.on("error", () => {});
  session.once("close", () => {
    harvest.closed += 1;
    begin(config, harvest, atATime);
  });
  const call = () => {
    if (session.destroyed) return;
    const secret = randomBytes(32).toString("base64url");
    const stream = session.request({
      ":method": "POST",
      ":path": "/pulse.v1.RegistryService/ListServices",
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer pulse_${randomBytes(8).toString("hex")}_${secret}`,
    });
    const told = (headers: Readonly<Record<string, unknown>>) => {
      const what = `status ${headers["grpc-status"]}`;
      if (headers["grpc-status"] !== undefined) harvest.seen[what] = (harvest.seen[what] ?? 0) + 1;
    };
    stream.on("response", told);
    stream.on("trailers", told);
    stream.on("error", () => {});
    stream.resume();
    stream.once("close", call);
    stream.end(EMPTY_MESSAGE);
  };
  session.once("connect", () => {
    for (let n = 0; n < atATime; n++) call();
  });
}
