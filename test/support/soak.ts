/** `SOAK=short npm run test:soak` is what CI runs: the same situations, smaller and shorter. */
const isShort = process.env.SOAK === "short";

/** How much of something a soak does: the whole, or the short cut of it. */
export function soak<Value>(whole: Value, short: Value): Value {
  return isShort ? short : whole;
}
