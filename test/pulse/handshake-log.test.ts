import { expect, it } from "vitest";
import { handshakeLog } from "../../src/pulse/handshake-log.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

it("handshakes that fail are a line a minute, however many they are, with the number left out", () => {
  const clock = new ManualClock();
  const log = recordingLog();
  const tell = handshakeLog(log, clock);
  for (let i = 0; i < 1_000; i++) tell({ address: "192.0.2.1", code: "ERR_SSL_HTTP_REQUEST" });
  clock.advanceSync(60_000);
  tell({ address: "192.0.2.2", code: "CLOSED" });
  const msg = "pulse.handshake_failed";
  expect(log.lines).toEqual([
    {
      level: "warn",
      msg,
      fields: { address: "192.0.2.1", code: "ERR_SSL_HTTP_REQUEST", leftOut: 0 },
    },
    { level: "info", msg, fields: { address: "192.0.2.2", code: "CLOSED", leftOut: 999 } },
  ]);
});
