import type { ClientTarget } from "./adapter.js";

/** What a program that asks for a user name and password by HTTP Basic is told. */
export function basicLogin({ username = "", secret = "" }: ClientTarget): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString("base64")}`;
}
