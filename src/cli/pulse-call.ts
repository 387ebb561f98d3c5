import type { Command } from "commander";
import { connectPulse, type PulseConnection } from "../client/index.js";
import { callFailure } from "./failure.js";
import { pulseDataOption, pulseUrlOption, tokenFileOption } from "./options.js";
import { pulseDataDirectory } from "./places.js";
import { type FoundToken, findToken, type TokenSearch } from "./token-lookup.js";

/** Adds the options that every command has which calls Pulse. */
export function addCallOptions(command: Command): Command {
  return command
    .addOption(pulseUrlOption())
    .addOption(tokenFileOption())
    .addOption(pulseDataOption());
}

/** The token that the options of `command` and the variables lead to. */
export function findTokenFor(
  command: Command,
  pulseDataDirectory: string,
  accept: TokenSearch["accept"],
): Promise<FoundToken> {
  const options = command.opts<{ pulse: string; tokenFile?: string }>();
  return findToken({
    file: options.tokenFile,
    fileWasTyped: command.getOptionValueSource("tokenFile") === "cli",
    token: process.env.PULSE_TOKEN,
    pulseUrl: options.pulse,
    dataDirectory: pulseDataDirectory,
    accept,
  });
}

/** Where Pulse is, as the options of `command` say, and how to find the token for it. */
export function callTarget(command: Command, accept: TokenSearch["accept"]) {
  const { pulse: url, data } = command.opts<{ pulse: string; data?: string }>();
  const dataDirectory = pulseDataDirectory(data, process.env);
  return { url, findToken: () => findTokenFor(command, dataDirectory, accept) };
}

/**
 * Calls Pulse as the options of `command` say, and leaves no connection behind.
 * @param timeoutMs of each call, for each address that Pulse has
 * @throws CommandError that says what to do; what `call` itself throws of that kind stays
 */
export async function callPulse<Answer>(
  command: Command,
  accept: TokenSearch["accept"],
  call: (pulse: PulseConnection) => Promise<Answer>,
  timeoutMs = 10_000,
): Promise<Answer> {
  const { url, findToken } = callTarget(command, accept);
  const { token, source } = await findToken();
  // Each node is asked once, at most.
  const maxAttempts = url.split(",").length;
  const totalTimeoutMs = maxAttempts * timeoutMs;
  const retry = { maxAttempts, attemptTimeoutMs: timeoutMs, totalTimeoutMs };
  const pulse = connectPulse({ pulse: url, token, retry });
  try {
    return await call(pulse);
  } catch (error) {
    throw callFailure(error, url, source);
  } finally {
    pulse.close();
  }
}
