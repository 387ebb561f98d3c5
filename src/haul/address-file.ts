import { rm } from "node:fs/promises";
import { join } from "node:path";
import { hostOf, inUrl } from "../lib/host.js";
import { readIfPresent, writePrivateFile } from "../lib/private-file.js";

/** In the state directory: where the Haul that runs with it listens. After a crash it may be out of date. */
const ADDRESS_FILE = "api.url";

/** @param url where it listens; one that listens everywhere is called on loopback */
export async function writeAddress(directory: string, url: string): Promise<void> {
  await writePrivateFile(join(directory, ADDRESS_FILE), `${callable(url)}\n`);
}

/** Of another Haul that has started with this directory since, it stays. */
export async function removeAddress(directory: string, url: string): Promise<void> {
  if ((await readAddress(directory)) === callable(url))
    await rm(join(directory, ADDRESS_FILE), { force: true });
}

export async function readAddress(directory: string): Promise<string | undefined> {
  const url = (await readIfPresent(join(directory, ADDRESS_FILE)))?.trim();
  return url && URL.canParse(url) ? url : undefined;
}

function callable(url: string): string {
  const { protocol, port } = new URL(url);
  const host = hostOf(new URL(url));
  const at = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `${protocol}//${inUrl(at)}:${port || "80"}`;
}
