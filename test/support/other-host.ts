import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { isMissing } from "./missing.js";

const run = promisify(execFile);

/**
 * Whether tests that need an OtherHost have to be skipped. Says so; in CI, where nothing
 * is skipped, throws instead.
 */
export function isOtherHostMissing(): boolean {
  if (isMissing("ip")) return true;
  if (spawnSync("unshare", ["--net", "ip", "link", "add", "type", "veth"]).status === 0)
    return false;
  const message = "this user may not make a network of his own, by unshare: tests of two hosts";
  if (process.env.CI) throw new Error(`${message} cannot run`);
  console.warn(`${message} are skipped`);
  return true;
}

/** What is another host as far as networks go: it has a loopback and an address of its own. Linux only. */
export interface OtherHost {
  /** Where it is reached from here. */
  readonly address: string;
  /** Where it reaches us. */
  readonly ourAddress: string;
  /** Command and arguments that put the program which follows on it. */
  readonly enter: readonly string[];
  /** To be called when those who are on it are gone. */
  close(): Promise<void>;
}

let count = 0;

/** It ends with this process. */
export async function createOtherHost(): Promise<OtherHost> {
  count += 1;
  const link = `pt${process.pid}x${count}`;
  const [ourAddress, address] = addressesOf(process.pid + count);
  // The network is there as long as this process is, and the link as long as the network.
  const holder = spawn("unshare", ["--net", "sh", "-c", "echo made && exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  const enter = ["nsenter", "--target", `${holder.pid}`, "--net"];
  try {
    await run("ip", [
      "link",
      "add",
      link,
      "type",
      "veth",
      "peer",
      "eth0",
      "netns",
      `${holder.pid}`,
    ]);
    await setUp([], link, ourAddress);
    await setUp(enter, "eth0", address);
  } catch (error) {
    await end(holder);
    throw error;
  }
  return { address, ourAddress, enter, close: () => end(holder) };
}

async function setUp(enter: readonly string[], link: string, address: string): Promise<void> {
  const commands = [
    ["ip", "address", "add", `${address}/30`, "dev", link],
    ["ip", "link", "set", link, "up"],
    ["ip", "link", "set", "lo", "up"],
  ];
  for (const command of commands) {
    const [program = "", ...args] = [...enter, ...command];
    await run(program, args);
  }
}

async function end(holder: ChildProcess): Promise<void> {
  const gone = once(holder, "exit");
  holder.stdin?.end();
  await gone;
}

/** Two of a network of four; each number up to 2^14 has another. Private ones, which SABnzbd lets in. */
function addressesOf(number: number): readonly [string, string] {
  const [high, low] = [(number >> 6) & 255, (number & 63) * 4];
  return [`10.213.${high}.${low + 1}`, `10.213.${high}.${low + 2}`];
}
