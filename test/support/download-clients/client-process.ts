import { spawn } from "node:child_process";
import { connect } from "node:net";
import { eventually } from "../eventually.js";

/** A program with all that it starts. */
export interface ClientProcess {
  readonly pid: number;
  /** SIGKILL to the whole family; resolves when the program is gone. */
  kill(): Promise<void>;
}

/** Python programs need longer, on a busy machine. */
const PATIENCE_MS = 30_000;
/** How much of what it wrote is told when it does not start. */
const TAIL = 4_000;

/**
 * Starts a program and waits until it listens at that port of 127.0.0.1.
 * @throws with what it wrote if it ends before, or after 30 s
 */
export async function startClientProcess(
  [command = "", ...args]: readonly string[],
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<ClientProcess> {
  // A process group of its own, so that a signal reaches what it starts.
  const child = spawn(command, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let written = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      written = (written + text).slice(-TAIL);
    });
  let hasEnded = false;
  const exit = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true;
      resolve();
    };
    child.once("exit", end).once("error", (error) => {
      written += error.message;
      end();
    });
  });
  const client: ClientProcess = {
    pid: child.pid ?? 0,
    async kill() {
      killFamily(child.pid);
      await exit;
    },
  };
  try {
    await eventually(() => (hasEnded ? undefined : isListening(port)), PATIENCE_MS);
    if (hasEnded) throw new Error("it has ended");
  } catch (error) {
    await client.kill();
    const problem = (error as Error).message;
    throw new Error(`${command} ${args.join(" ")} does not start: ${problem}\n${written}`);
  }
  return client;
}

function killFamily(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function isListening(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", reject).once("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}
