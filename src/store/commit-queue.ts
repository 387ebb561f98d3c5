/**
 * Group commit: commands that arrive while a transaction runs go together into
 * the next one.
 */
export interface CommitQueue<Command, Outcome> {
  /** Resolves when the command's batch is durable; rejects if it failed, alone or because the queue is full. */
  submit(command: Command): Promise<Outcome>;
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>;
}
