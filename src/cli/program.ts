import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { failureSentence, ListedError, UsageError } from "./failure.js";

/** Exit codes of every command: 0 done, 1 failed, 2 wrong usage. */
const FAILED = 1;
const WRONG_USAGE = 2;

/** A program whose usage errors are one line each, and which never ends the process by itself. */
export function createProgram(name: string, description: string): Command {
  const { version } = createRequire(import.meta.url)("pulse-registry/package.json") as {
    version: string;
  };
  return new Command(name)
    .description(description)
    .version(version)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`${name}: ${usageSentence(text)}; see ${name} --help\n`),
    });
}

/** Runs the command that argv names, and sets the exit code. */
export async function runProgram(program: Command): Promise<void> {
  inheritSettings(program);
  dropEmptyVariables();
  process.stdout.on("error", endOnBrokenOutput);
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE; // it has said so itself
      return;
    }
    const lines = error instanceof ListedError ? error.lines : [failureSentence(error)];
    for (const line of lines) process.stderr.write(`${program.name()}: ${line}\n`);
    process.exit(error instanceof UsageError ? WRONG_USAGE : FAILED); // whatever is half started
  }
}

/** A command that only holds others. */
export function commandGroup(
  name: string,
  description: string,
  commands: readonly Command[],
): Command {
  const group = new Command(name).description(description);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** Commander hands settings down only to the commands that it makes itself. */
function inheritSettings(parent: Command): void {
  for (const command of parent.commands) inheritSettings(command.copyInheritedSettings(parent));
}

/** `PULSE_LISTEN=` in a compose file means "not given". */
function dropEmptyVariables(): void {
  for (const [name, value] of Object.entries(process.env))
    if (value === "" && /^(PULSE|HAUL)_/.test(name)) delete process.env[name];
}

/** `pulse clients list | head` ends quietly when head has seen enough; a full disk is said. */
function endOnBrokenOutput(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`cannot write the output (${error.code})\n`);
  process.exit(FAILED);
}

/** Commander's text in one line, without a secret that was typed where none belongs. */
export function usageSentence(text: string): string {
  return text
    .trim()
    .replace(/^error: /, "")
    .replace(/\.?\s+/g, (gap) => (gap.startsWith(".") ? "; " : " "))
    .replace(/\.$/, "")
    .replace(/(unknown option '--[^=']+)=[^']*/, "$1")
    .replace(/\/\/[^/\s'@]*@/g, "//[hidden]@");
}
