import { type Clock, repeat, type Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { TlsCredentials } from "../wire/server.js";
import {
  appearanceOf,
  type CertificateInfo,
  type LoadedTls,
  readTls,
  type TlsFiles,
} from "./tls-files.js";

/**
 * How often the files are looked at. Not by the system's notices: these miss links that
 * are switched, and files on a network.
 */
const LOOK_MS = 2_000;
const DAY_MS = 86_400_000;
const WARN_BEFORE_MS = 14 * DAY_MS;

export interface CertificateWatchOptions {
  readonly files: TlsFiles;
  /** What is in use. */
  readonly loaded: LoadedTls;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes what the files hold now. */
  readonly use: (credentials: TlsCredentials) => void;
}

/** Keeps what is in use as new as the files. */
export interface CertificateWatch {
  /** Reads the files now, changed or not. What is wrong with them is logged, and never thrown. */
  reload(): Promise<void>;
  stop(): void;
}

/**
 * Looks at the files now and then, and takes them once they have changed and then stayed
 * the same for one more look: whoever renews writes one after the other. What cannot be
 * used is said once, and what is in use stays.
 */
export function watchCertificate(options: CertificateWatchOptions): CertificateWatch {
  const { files, clock, log, use } = options;
  /** With how the files looked when they were last read. */
  let { about, appearance: read } = options.loaded;
  let seen = read;
  let isLooking = false;
  let reading: Promise<void> = Promise.resolve();
  const timers: Timer[] = [];

  sayLoaded(log, about);
  warnOfDates(log, about, clock);
  timers.push(repeat(clock, DAY_MS, () => warnOfDates(log, about, clock)));
  timers.push(repeat(clock, LOOK_MS, () => void look()));

  async function look(): Promise<void> {
    if (isLooking) return; // a file system on a network may take its time
    isLooking = true;
    const looks = await appearanceOf(files);
    isLooking = false;
    const isSettled = looks === seen;
    seen = looks;
    if (looks === read || !isSettled) return;
    await reload();
  }

  function reload(): Promise<void> {
    reading = reading.then(readNow);
    return reading;
  }

  async function readNow(): Promise<void> {
    read = await appearanceOf(files);
    try {
      const loaded = await readTls(files, clock);
      use(loaded.credentials);
      about = loaded.about;
    } catch (error) {
      const { message } = error as Error;
      log.error({ fingerprint: about.fingerprint }, `pulse.certificate_kept: ${message}`);
      return;
    }
    sayLoaded(log, about);
    warnOfDates(log, about, clock);
  }

  return {
    reload,
    stop() {
      for (const timer of timers) timer.cancel();
    },
  };
}

function sayLoaded(log: Log, { names, notAfterAt, fingerprint }: CertificateInfo): void {
  const notAfter = new Date(notAfterAt).toISOString();
  log.info({ names, notAfter, fingerprint }, "pulse.certificate_loaded");
}

function warnOfDates(log: Log, about: CertificateInfo, clock: Clock): void {
  const { notBeforeAt, notAfterAt, fingerprint } = about;
  const now = clock.wallNow();
  const leftMs = notAfterAt - now;
  if (notBeforeAt > now)
    log.warn(
      { notBefore: new Date(notBeforeAt).toISOString(), fingerprint },
      "pulse.certificate_not_yet_valid: the clock of this host is behind, or clients will refuse it until then",
    );
  if (leftMs > WARN_BEFORE_MS) return;
  const fields = { notAfter: new Date(notAfterAt).toISOString(), fingerprint };
  if (leftMs > 0)
    log.warn(
      fields,
      "pulse.certificate_ends: renew the certificate, one of Pulse's own with `pulse tls init`; a running Pulse takes it",
    );
  else
    log.error(
      fields,
      "pulse.certificate_ended: no client can connect any more; renew it, one of Pulse's own with `pulse tls init`",
    );
}
