import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../eventually.js";
import { freePort } from "../free-port.js";
import { versionByEntry } from "../manager-calls.js";
import { type ClientProcess, startClientProcess } from "./client-process.js";
import { commandLine, createPlace, hasProgram, type Place, type Release } from "./release.js";

export type RealKind = "aria2" | "deluge" | "nzbget" | "qbittorrent" | "sabnzbd" | "transmission";

/** An address of this host, and a port there. */
export interface Listener {
  readonly host: string;
  readonly port: number;
}

/** A Usenet server, and how to log in there. */
export interface UsenetAccount extends Listener {
  readonly username: string;
  readonly password: string;
}

export interface RealClientOptions {
  readonly release?: Release;
  /** Where it is asked, on 127.0.0.1; left out, a port that is free. */
  readonly port?: number;
  /** Whether others than this host may ask it. */
  readonly isOpen?: boolean;
  /** Kinds that know no users leave it out. */
  readonly username?: string;
  /** Password, API key or RPC secret. */
  readonly password?: string;
  /** Where a torrent client meets its peers; left out, 127.0.0.1 and a port that is free. */
  readonly peers?: Listener;
  /** From where a Usenet client fetches; left out, from nowhere. */
  readonly usenet?: UsenetAccount;
}

/** A real download client. */
export interface RealClient {
  readonly kind: RealKind;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Empty for kinds that know no users. */
  readonly username: string;
  /** As it is now. */
  readonly password: string;
  /** Its configuration, its state, and what it has fetched. */
  readonly directory: string;
  /** Where what it has fetched is in the end. */
  readonly downloads: string;
  /** Of the programs that it consists of. */
  readonly pids: readonly number[];
  /** SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it, on what it may have left behind; resolves when one can log in. */
  start(): Promise<void>;
  /** Kills it, gives it another password, and starts it again. */
  changePassword(next: string): Promise<void>;
  /** How many log-ins it has refused by its own log, in all of its lives; undefined: it keeps none. */
  refusedLogins(): Promise<number | undefined>;
  /** Kills it, and removes its directory. */
  dispose(): Promise<void>;
}

/** What a kind is started with. Paths are as the program sees them, but for `directory`. */
export interface ClientSetup extends Required<Omit<RealClientOptions, "release" | "usenet">> {
  readonly usenet: UsenetAccount | undefined;
  /** As we see it. */
  readonly directory: string;
  /** The same as the program sees it. */
  readonly ownDirectory: string;
  readonly ownDownloads: string;
  /** For a kind that consists of two programs. */
  readonly secondPort: number;
}

/** How one kind is set up and started. */
export interface RealClientKind {
  readonly kind: RealKind;
  /** As its makers write it. */
  readonly title: string;
  /** What has to be installed; the first one shows its version with `--version`. */
  readonly programs: readonly string[];
  /** Where it may come from. */
  readonly releases: readonly Release[];
  readonly hasUsers: boolean;
  configure(setup: ClientSetup): Promise<void>;
  /** What is started, one after the other, and the port at which each listens. */
  commands(
    setup: ClientSetup,
  ): readonly { readonly words: readonly string[]; readonly port: number }[];
  /** By its own log; absent: it keeps none. */
  refusedLogins?(setup: ClientSetup): Promise<number>;
}

/** Sets up a client of that kind, in a directory of its own; `start` starts it. */
export async function createRealClient(
  kind: RealClientKind,
  { release = "installed", ...options }: RealClientOptions = {},
): Promise<RealClient> {
  for (const program of kind.programs)
    if (!hasProgram(release, program)) throw new Error(`${program} (${release}) is not installed`);
  const place = await createPlace(release);
  let setup = await createSetup(kind, place, options);
  const { port } = setup;
  const url = `http://127.0.0.1:${port}`;
  let processes: ClientProcess[] = [];

  const client: RealClient = {
    kind: kind.kind,
    url,
    host: "127.0.0.1",
    port,
    username: setup.username,
    get password() {
      return setup.password;
    },
    directory: place.directory,
    downloads: join(place.directory, "downloads"),
    get pids() {
      return processes.map(({ pid }) => pid);
    },
    async kill() {
      await Promise.all(processes.map((each) => each.kill()));
      processes = [];
    },
    async start() {
      const env = { PATH: process.env.PATH ?? "", HOME: setup.ownDirectory, LANG: "C.UTF-8" };
      for (const { words, port } of kind.commands(setup))
        processes.push(await startClientProcess(commandLine(release, words), port, env));
      // One that listens may still have to find its other half.
      await eventually(() => versionByEntry({ ...client, useSsl: false, urlBase: "" }), 15_000);
    },
    async changePassword(password) {
      await client.kill();
      setup = { ...setup, password };
      await kind.configure(setup);
      await client.start();
    },
    refusedLogins: async () => kind.refusedLogins?.(setup),
    async dispose() {
      await client.kill();
      await rm(place.directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  await kind.configure(setup);
  return client;
}

async function createSetup(
  { hasUsers }: RealClientKind,
  { directory, ownName }: Place,
  options: Omit<RealClientOptions, "release">,
): Promise<ClientSetup> {
  await mkdir(join(directory, "downloads"));
  return {
    port: options.port ?? (await freePort()),
    isOpen: options.isOpen ?? false,
    username: hasUsers ? (options.username ?? "me") : "",
    password: options.password ?? "the password of a test",
    peers: options.peers ?? { host: "127.0.0.1", port: await freePort() },
    usenet: options.usenet,
    directory,
    ownDirectory: ownName,
    ownDownloads: join(ownName, "downloads"),
    secondPort: await freePort(),
  };
}

/** How often a text is in a log; 0 if there is no log. */
export async function countInLog(file: string, text: string): Promise<number> {
  const log = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return log.split(text).length - 1;
}
