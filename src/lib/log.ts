/** What this project needs of a logger: pino has this shape, and so has a test's recorder. */
export interface Log {
  debug(fields: object, msg: string): void;
  info(fields: object, msg: string): void;
  warn(fields: object, msg: string): void;
  error(fields: object, msg: string): void;
}

/** Writes to `log`, with these fields in each line. */
export function withFields(log: Log, added: object): Log {
  return {
    debug: (fields, msg) => log.debug({ ...added, ...fields }, msg),
    info: (fields, msg) => log.info({ ...added, ...fields }, msg),
    warn: (fields, msg) => log.warn({ ...added, ...fields }, msg),
    error: (fields, msg) => log.error({ ...added, ...fields }, msg),
  };
}
