import type { Clock } from "../../lib/clock.js";
import { type FileLooks, type FileWatch, watchFiles } from "../../lib/file-watch.js";
import type { Log } from "../../lib/log.js";
import { ConfigError } from "./config-error.js";
import { type HaulConfig, readConfig } from "./read-config.js";
import type { Environment } from "./secrets.js";

export interface ConfigWatchOptions {
  readonly path: string;
  readonly env: Environment;
  /** What is in use, from `readConfig`. */
  readonly config: HaulConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes what the files say now, which may be the same as before. Must not throw. */
  readonly onConfig: (config: HaulConfig) => void;
}

/** What only a start looks at, by the names of the keys. */
const AT_START = { pulse: "pulse", tokenFile: "token_file", listen: "listen" } as const;

/**
 * Reads the configuration anew when its file, or a file with a secret that it names, has
 * changed. What cannot be used is logged once, and what was there before stays in use.
 */
export function watchConfig(options: ConfigWatchOptions): FileWatch {
  const { path, env, config: atStart, clock, log, onConfig } = options;
  let isStopped = false;

  warnOf(atStart);
  const watch = watchFiles({ looks: atStart.files, clock, read });

  async function read(): Promise<FileLooks> {
    try {
      const config = await readConfig(path, env);
      if (isStopped) return config.files;
      log.info({ path, clients: config.clients.length }, "haul.config-read");
      warnOf(config);
      onConfig(config);
      return config.files;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { problems, files } = error;
      log.error({ problems, detail: "what it said before stays in use" }, "haul.config-kept");
      return files;
    }
  }

  function warnOf(config: HaulConfig): void {
    for (const detail of config.warnings) log.warn({ detail }, "haul.config-warning");
    const keys = changedAtStart(atStart, config);
    if (keys.length > 0)
      log.warn({ path, keys, detail: "restart Haul for these" }, "haul.config-needs-restart");
  }

  return {
    reload: watch.reload,
    stop() {
      isStopped = true;
      watch.stop();
    },
  };
}

function changedAtStart(before: HaulConfig, now: HaulConfig): string[] {
  return Object.entries(AT_START)
    .filter(([key]) => !isSame(before[key as keyof HaulConfig], now[key as keyof HaulConfig]))
    .map(([, name]) => name);
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
