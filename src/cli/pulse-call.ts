import type { Command } from "commander";
import { connectPulse, type PulseConnection, plainTextExposure } from "../client/index.js";
import { callFailure } from "./failure.js";
import { addSecurityOptions, pulseDataOption, pulseUrlOption, tokenFileOption } from "./options.js";
import { note } from "./output.js";
import { pulseDataDirectory } from "./places.js";
import { targetOf } from "./pulse-target.js";
import { type FoundToken, findToken, type TokenSearch } from "./token-lookup.js";

/** Adds the options that every command has which calls Pulse. */
export function addCallOptions(command: Command): Command {
  command.addOption(pulseUrlOption()).addOption(tokenFileOption()).addOption(pulseDataOption());
  return addSecurityOptions(command);
}

/**
 * The token that the options of `command` and the variables lead to.
 * @param url where it will be sent
 */
export function findTokenFor(
  command: Command,
  url: string,
  pulseDataDirectory: string,
  accept: TokenSearch["accept"],
): Promise<FoundToken> {
  const options = command.opts<{ tokenFile?: string }>();
  return findToken({
    file: options.tokenFile,
    fileWasTyped: command.getOptionValueSource("tokenFile") === "cli",
    token: process.env.PULSE_TOKEN,
    pulseUrl: url,
    dataDirectory: pulseDataDirectory,
    accept,
  });
}

/** Where Pulse is, as the options of `command` say, and how to find the token for it. */
export async function callTarget(command: Command, accept: TokenSearch["accept"]) {
  const { data } = command.opts<{ data?: string }>();
  const dataDirectory = pulseDataDirectory(data, process.env);
  const { url, ...security } = await targetOf(command, dataDirectory);
  const exposure = plainTextExposure(url);
  if (exposure !== undefined) note(`Warning: ${exposure}.`);
  return { url, security, findToken: () => findTokenFor(command, url, dataDirectory, accept) };
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
  const { url, security, findToken } = await callTarget(command, accept);
  const { token, source } = await findToken();
  // Each node is asked once, at most.
  const maxAttempts = url.split(",").length;
  const totalTimeoutMs = maxAttempts * timeoutMs;
  const retry = { maxAttempts, attemptTimeoutMs: timeoutMs, totalTimeoutMs };
  const pulse = connectPulse({ ...security, pulse: url, token, retry });
  try {
    return await call(pulse);
  } catch (error) {
    throw callFailure(error, url, source);
  } finally {
    pulse.close();
  }
}
