import { hostname, networkInterfaces } from "node:os";
import { hostOf, isLoopbackHost } from "../lib/host.js";

/** Whether a URL leads to this host, by its name or one of its addresses. */
export function isThisHost(url: string): boolean {
  const name = hostOf(new URL(url)).toLowerCase();
  if (isLoopbackHost(name) || name === hostname().toLowerCase()) return true;
  return Object.values(networkInterfaces())
    .flat()
    .some((address) => address?.address === name);
}
