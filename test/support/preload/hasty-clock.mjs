// Time passes HASTY_CLOCK times as fast for this process: its timers, and what it measures by.
import { promisify } from "node:util";

const factor = Number(process.env.HASTY_CLOCK);
const realNow = performance.now.bind(performance);
performance.now = () => realNow() * factor;

for (const name of ["setTimeout", "setInterval"]) {
  const real = globalThis[name];
  const hasty = (fn, delayMs, ...rest) => real(fn, (delayMs ?? 0) / factor, ...rest);
  const promised = real[promisify.custom];
  if (promised)
    hasty[promisify.custom] = (delayMs, ...rest) => promised((delayMs ?? 0) / factor, ...rest);
  globalThis[name] = hasty;
}
