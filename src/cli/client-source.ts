import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { type Haul, type HaulConfig, type HaulOptions, loadConfigReader } from "../haul/index.js";
import { systemClock } from "../lib/clock.js";
import { type FileLooks, type FileWatch, lookAt, watchFiles } from "../lib/file-watch.js";
import type { Log } from "../lib/log.js";
import { readClient, settingsOf } from "./client-options.js";
import { failureSentence, ListedError, UsageError } from "./failure.js";

/** Where a Haul is told of its download clients: by options and variables, or by a file. */
export interface ClientSource {
  readonly given: Pick<HaulOptions, "client" | "clients">;
  /** Hands to `haul` what has changed since; undefined: nothing can. */
  follow(haul: Haul, log: Log): FileWatch | undefined;
}

/** @throws CommandError, UsageError or ListedError if what was given cannot be used */
export async function findClients(command: Command, name: string): Promise<ClientSource> {
  const path: string | undefined = command.getOptionValue("config");
  if (path === undefined) return fromOptions(command, name);
  const wrong = ONE_CLIENT.find((option) => command.getOptionValue(option) !== undefined);
  if (wrong !== undefined)
    throw new UsageError(
      "--config says which download clients there are: leave out --kind, --url and what belongs to them, HAUL_… variables, too",
    );
  return fromFile(command, path);
}

/**
 * What is said of the one client of the options. The variables that hold a secret themselves
 * are not: `password_env` of a file may name them.
 */
const ONE_CLIENT = [
  ...["kind", "url", "username", "passwordFile", "apiKeyFile"],
  ...["advertiseUrl", "advertiseHost", "vpnCheck", "downloadDir", "pathMapping"],
];

/** A password that is changed in its file is taken while Haul runs. */
async function fromOptions(command: Command, name: string): Promise<ClientSource> {
  const client = await readClient(command);
  if (!client) return { given: {}, follow: () => undefined };
  const { secretFile } = client;
  const isKept = secretFile !== undefined && (await stat(secretFile)).isFile(); // a pipe is read once
  const looks = isKept ? await lookAt([secretFile]) : undefined;
  const now = async () => settingsOf((await readClient(command)) ?? client, name, command);
  return {
    given: { client: settingsOf(client, name, command) },
    follow(haul, log) {
      if (!looks) return undefined;
      return watchFiles({
        looks,
        clock: systemClock,
        async read(): Promise<FileLooks> {
          const read = await lookAt(looks.keys());
          try {
            await haul.apply([await now()]);
          } catch (error) {
            log.error({ detail: failureSentence(error) }, "haul.secret-kept");
          }
          return read;
        },
      });
    },
  };
}

async function fromFile(command: Command, path: string): Promise<ClientSource> {
  const { env } = process;
  const { ConfigError, readConfig, watchConfig } = await loadConfigReader();
  const config = await readConfig(path, env).catch((error: unknown) => {
    throw error instanceof ConfigError ? new ListedError(error.problems) : error;
  });
  takeDefaults(command, config);
  return {
    given: { clients: config.clients },
    follow: (haul, log) =>
      watchConfig({
        path,
        env,
        config,
        clock: systemClock,
        log,
        onConfig({ clients }) {
          haul.apply(clients).catch((error: unknown) => {
            log.error({ detail: failureSentence(error) }, "haul.config-not-applied");
          });
        },
      }),
  };
}

/** What the file says besides holds where neither options nor variables say anything. */
function takeDefaults(command: Command, { pulse, tokenFile, listen }: HaulConfig): void {
  const isGiven = (option: string) =>
    ![undefined, "default"].includes(command.getOptionValueSource(option));
  const isTokenGiven = isGiven("tokenFile") || process.env.PULSE_TOKEN !== undefined;
  if (pulse !== undefined && !isGiven("pulse"))
    command.setOptionValueWithSource("pulse", pulse, "config");
  if (tokenFile !== undefined && !isTokenGiven)
    command.setOptionValueWithSource("tokenFile", tokenFile, "config");
  if (listen !== undefined && !isGiven("listen"))
    command.setOptionValueWithSource("listen", listen, "config");
}
