/**
 * Callers share runs of something that takes a while: whoever calls gets a run that
 * begins after his call, and one run serves all who came during the one before.
 */
export function shareRuns(run: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  function start(): Promise<void> {
    const started = run().finally(() => {
      if (current === started) current = undefined;
    });
    current = started;
    return started;
  }

  function startNext(): Promise<void> {
    next = undefined;
    return start();
  }

  return () => {
    if (next) return next; // also when it is about to begin
    if (!current) return start();
    next = current.then(startNext, startNext);
    return next;
  };
}
