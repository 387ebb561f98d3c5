import { callHeaders, END_HEADERS, FRAME, frame, helloFrames } from "../../wire/raw-frames.js";
import { type Attack, openMany } from "./attack.js";

const FORMS: Readonly<Record<string, Buffer>> = {
  silent: Buffer.alloc(0),
  "HTTP/1": Buffer.from("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"),
  "HTTP/2": helloFrames(),
  "HTTP/2 with a call": Buffer.concat([
    helloFrames(),
    frame(FRAME.headers, END_HEADERS, 1, callHeaders("/pulse.v1.RegistryService/Register")),
  ]),
};

/** Connections that are opened and kept. */
export const connections: Attack = async (config, harvest) => {
  const begin = FORMS[config.form ?? "silent"] ?? Buffer.alloc(0);
  await openMany(config, harvest, config.count, (socket) => {
    socket.resume();
    socket.once("end", () => socket.destroy());
    if (begin.length > 0) socket.write(begin);
  });
};
