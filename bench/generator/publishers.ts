import type { CallHandlers } from "./call.js";
import { Connection, type Target } from "./connection.js";
import { problemOfChange, problemOfSnapshot, registerRequest } from "./messages.js";
import { PUBLISH, REGISTER, SET_OPENING } from "./paths.js";
import type { Publisher, Watchers } from "./watchers.js";

/**
 * Changes Pulse's entry of one service by registering it again with another
 * version: the way in which entries change most, and a durable commit. That it is
 * a Register weighs next to nothing beside a thousand deliveries.
 *
 * @param entries how many Pulse has, with the one that is changed, which is the last
 */
export async function openRegistrant(target: Target, entries: number): Promise<Publisher> {
  const connection = new Connection(target);
  let changes = 0;
  const versionNow = () => `4.5.${changes}`;
  const register = (onReply: (problem: string | undefined) => void) =>
    connection.callOnce(REGISTER, registerRequest(entries - 1, versionNow()), answerTo(onReply));
  await succeeded(register);
  return {
    publish(onReply) {
      changes++;
      register(onReply);
    },
    problemOfOpening: (message) => problemOfSnapshot(message, entries),
    problemOfChange: (message) => problemOfChange(message, versionNow()),
    close: () => connection.close(),
  };
}

/** Has a reference send what Pulse sent to its watchers, byte for byte. */
export async function openRepeater(target: Target, model: Watchers): Promise<Publisher> {
  const connection = new Connection(target);
  const call = (path: string, message: Buffer) => (onReply: (problem?: string) => void) =>
    connection.callOnce(path, message, answerTo(onReply));
  const { opening, lastChange } = model;
  await succeeded(call(SET_OPENING, opening));
  return {
    publish: call(PUBLISH, lastChange),
    problemOfOpening: (message) => (message.equals(opening) ? undefined : "a changed opening"),
    problemOfChange: (message) => (message.equals(lastChange) ? undefined : "a changed change"),
    close: () => connection.close(),
  };
}

function answerTo(onReply: (problem: string | undefined) => void): CallHandlers {
  return { onEnd: onReply };
}

function succeeded(call: (onReply: (problem: string | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((problem) => (problem === undefined ? resolve() : reject(new Error(problem))));
  });
}
