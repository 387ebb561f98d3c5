// The wall clock of this process is wrong by as many ms as the file SHIFTED_CLOCK says.
import { readFileSync, watchFile } from "node:fs";

const file = process.env.SHIFTED_CLOCK;
const RealDate = Date;
let shiftMs = read();
watchFile(file, { interval: 50, persistent: false }, () => {
  shiftMs = read();
});

function read() {
  return Number(readFileSync(file, "utf8"));
}

globalThis.Date = class ShiftedDate extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + shiftMs);
    else super(...parts);
  }

  static now() {
    return RealDate.now() + shiftMs;
  }
};
