/** Who an instance is: chosen once, kept for ever. */
export interface Identity {
  readonly instanceId: string;
  /** Proves the id to Pulse. Never logged. */
  readonly instanceSecret: string;
}
