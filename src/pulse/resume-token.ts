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
