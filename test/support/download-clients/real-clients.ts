import { onTestFinished } from "vitest";
import { isMissing } from "../missing.js";
import { ARIA2 } from "./aria2.js";
import { DELUGE } from "./deluge.js";
import { REAL_KINDS } from "./kinds.js";
import { NZBGET } from "./nzbget.js";
import { QBITTORRENT } from "./qbittorrent.js";
import {
  createRealClient,
  type RealClient,
  type RealClientKind,
  type RealClientOptions,
  type RealKind,
} from "./real-client.js";
import type { Release } from "./release.js";
import { SABNZBD } from "./sabnzbd.js";
import { TRANSMISSION } from "./transmission.js";

export type { RealClient, RealKind, Release };

type Start = (options?: RealClientOptions) => Promise<RealClient>;
const starter =
  (kind: RealClientKind): Start =>
  (options) =>
    startForTest(kind, options);

async function startForTest(
  kind: RealClientKind,
  options?: RealClientOptions,
): Promise<RealClient> {
  const client = await createRealClient(kind, options);
  onTestFinished(() => client.dispose());
  await client.start();
  return client;
}

/** Each starts one, headless and on loopback, in a directory of its own; it ends with the test. */
export const startAria2 = starter(ARIA2);
export const startDeluge = starter(DELUGE);
export const startNzbget = starter(NZBGET);
export const startQBittorrent = starter(QBITTORRENT);
export const startSabnzbd = starter(SABNZBD);
export const startTransmission = starter(TRANSMISSION);

/** One kind in one version, for tests that go over all. */
export interface RealClientCase {
  readonly kind: RealKind;
  readonly release: Release;
  /** Such as `Deluge`, or `Deluge of trixie`. */
  readonly name: string;
  readonly hasUsers: boolean;
  /** Whether tests with it have to be skipped, which has been said. */
  readonly isMissing: boolean;
  start(options?: Omit<RealClientOptions, "release">): Promise<RealClient>;
}

/** Every kind, as it is installed here. */
export const REAL_CLIENTS = REAL_KINDS.map((kind) => caseOf(kind, "installed"));

/** And as it is in a newer Debian. */
export const NEWER_CLIENTS = REAL_KINDS.filter(({ releases }) => releases.includes("trixie")).map(
  (kind) => caseOf(kind, "trixie"),
);

function caseOf(kind: RealClientKind, release: Release): RealClientCase {
  return {
    kind: kind.kind,
    release,
    name: release === "installed" ? kind.title : `${kind.title} of ${release}`,
    hasUsers: kind.hasUsers,
    isMissing: kind.programs.some((program) => isMissing(program, release)),
    start: (options) => startForTest(kind, { ...options, release }),
  };
}
