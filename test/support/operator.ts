import type { Stack } from "./stack.js";

/** What `pulse ARGS` prints for an operator on Pulse's host. Rejects if it fails. */
export async function operate({ group, url, dataDirectory }: Stack, ...args: string[]) {
  const env = { PULSE_URL: url, PULSE_DATA: dataDirectory };
  const { code, stdout, stderr } = await group.run("pulse", args, env);
  if (code !== 0) throw new Error(`pulse ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}
