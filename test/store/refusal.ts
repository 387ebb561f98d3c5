import { expect } from "vitest";
import { StoreOpenError } from "../../src/store/store.js";

/** The one sentence with which an open, or what is like it, must be refused. */
export async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreOpenError);
  const { message } = error as StoreOpenError;
  expect(message).not.toContain("\n");
  return message;
}
