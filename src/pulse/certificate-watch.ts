import { type Clock, repeat } from "../lib/clock.js";
import { type FileLooks, type FileWatch, watchFiles } from "../lib/file-watch.js";
import type { Log } from "../lib/log.js";
import type { TlsCredentials } from "../wire/server.js";
import {
  type CertificateInfo,
  type LoadedTls,
  lookAtTls,
  readTls,
  type TlsFiles,
} from "./tls-files.js";

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

/**
 * Keeps what is in use as new as the files. What cannot be used is said once, and what is
 * in use stays; what is wrong with the files is logged, and never thrown.
 */
export function watchCertificate(options: CertificateWatchOptions): FileWatch {
  const { files, clock, log, use } = options;
  let { about } = options.loaded;

  sayLoaded(log, about);
  warnOfDates(log, about, clock);
  const warning = repeat(clock, DAY_MS, () => warnOfDates(log, about, clock));
  const watch = watchFiles({ looks: options.loaded.looks, clock, read });

  async function read(): Promise<FileLooks> {
    const looks = await lookAtTls(files);
    try {
      const loaded = await readTls(files, clock);
      use(loaded.credentials);
      about = loaded.about;
    } catch (error) {
      const { message } = error as Error;
      log.error({ fingerprint: about.fingerprint }, `pulse.certificate_kept: ${message}`);
      return looks;
    }
    sayLoaded(log, about);
    warnOfDates(log, about, clock);
    return looks;
  }

  return {
    reload: watch.reload,
    stop() {
      warning.cancel();
      watch.stop();
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
