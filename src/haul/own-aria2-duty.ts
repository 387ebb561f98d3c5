import { changeAria2Secret } from "./aria2-rotation.js";
import { createClientAddress } from "./client-address.js";
import { DEFAULT_MIN_FREE_BYTES, DEFAULT_STALLED_AFTER_MS } from "./client-health.js";
import type { Duty, DutyOptions } from "./duty.js";
import { freeBytesIn } from "./free-space.js";
import { startFront } from "./front.js";
import type { OwnAria2 } from "./own-aria2.js";
import { DOWNLOAD_CLIENT_TYPE } from "./settings-front.js";

/** It listens well within that; a probe before would only say that it does not yet. */
const STARTS_IN_MS = 300;
const NOT_ADVERTISED =
  "the aria2 that Haul started is registered at its own address: its port may change, so nothing else can lead to it";
const ONLY_HERE =
  "the aria2 that Haul started listens on this host only, where nobody else reaches it, and Pulse is not here: start an aria2 that listens everywhere, with an rpc-secret, and give --kind and --url";

/** Fronts an aria2 that Haul has started, and ends it. */
export function frontOwnAria2(
  aria2: OwnAria2,
  downloadDirectory: string,
  { options, clock, random, registerIn }: DutyOptions,
): Duty {
  const { name, pulse, stateDirectory, log } = options;
  if (options.advertiseUrl) log.warn({ detail: NOT_ADVERTISED }, "haul.advertise-ignored");
  const findAddress = createClientAddress({ kind: "aria2", pulse }, clock);
  const front = startFront({
    client: {
      get target() {
        return aria2.target;
      },
      changeSecret: (_, signal, announce) => changeAria2Secret(aria2, clock, signal, announce),
      async addressOf(url) {
        const address = await findAddress(url);
        return address.ok ? address : { ok: false, problem: ONLY_HERE };
      },
      freeBytes: () => freeBytesIn(downloadDirectory),
      describe: ({ kind }, apiUrl, { version }) => ({
        name,
        type: DOWNLOAD_CLIENT_TYPE,
        kind,
        apiUrl,
        version,
        downloadDirectory,
      }),
      rules: { minFreeBytes: DEFAULT_MIN_FREE_BYTES, stalledAfterMs: DEFAULT_STALLED_AFTER_MS },
    },
    firstInMs: STARTS_IN_MS,
    register: registerIn(stateDirectory, log),
    log,
    clock,
    random,
  });
  return {
    services: () => new Map([[name, front.status()]]),
    rotate: (_, signal) => front.rotate(signal),
    async stop() {
      await front.stop(); // first: no manager should be sent to an aria2 that is going
      await aria2.stop();
    },
  };
}
