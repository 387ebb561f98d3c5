import { invalidField } from "../core/errors.js";

/**
 * Names one commit of one history: epoch, revision and that commit's stamp. A
 * wiped, restored or diverged store has no such commit, even where its revision
 * is the same.
 */
export interface ResumePoint {
  readonly epoch: string;
  readonly revision: bigint;
  readonly stamp: string;
}

/** Opaque to clients; the prefix is a version. */
export function writeResumeToken(point: ResumePoint): string {
  const text = `1 ${point.epoch} ${point.revision} ${point.stamp}`;
  return Buffer.from(text).toString("base64url");
}

/** @throws DomainError of kind `invalid` on `resume_token` if it is none that was ever written. */
export function readResumeToken(token: string): ResumePoint {
  const text = Buffer.from(token, "base64url").toString();
  const match = /^1 ([A-Za-z0-9-]{1,64}) (\d{1,19}) ([A-Za-z0-9_-]{0,64})$/.exec(text);
  const [, epoch, revision, stamp] = match ?? [];
  if (epoch !== undefined && revision !== undefined && stamp !== undefined) {
    const point = { epoch, revision: BigInt(revision), stamp };
    if (writeResumeToken(point) === token) return point;
  }
  throw invalidField(
    "resume_token",
    "must be a resume_token of a watch or list, unchanged; leave it empty to begin with a snapshot",
  );
}
