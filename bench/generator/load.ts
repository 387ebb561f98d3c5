/** How far a load has come, and what it cost the generator. */
export interface Counters {
  /** Monotonic ms; one clock for all processes of this machine. */
  readonly atMs: number;
  /** Calls or heartbeats that were answered well. */
  readonly done: number;
  /** Messages alone, without their frames. */
  readonly answerBytes: number;
  readonly failures: Readonly<Record<string, number>>;
  /** CPU time of the generator so far. */
  readonly generatorCpuMs: number;
}

/** A closed loop against one server: each slot sends its next request when the last is answered. */
export interface Load {
  /** Resolves when its connections stand and its streams are open. */
  readonly ready: Promise<void>;
  start(): void;
  /** No slot sends another request; what is in flight is still counted. */
  stop(): void;
  counters(): Counters;
  /** How long each answer took that came since this was last called, in ms; of unary calls alone. */
  takeTimes(): readonly number[];
  close(): void;
}
