import type { ChildProcess } from "node:child_process";

/** Calls between a process and the one that started it, over Node's IPC channel. */

interface Request {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

// biome-ignore lint/suspicious/noExplicitAny: any method; the names and types of each are kept below
export type Methods<Api> = { [Name in keyof Api]: (...args: any[]) => unknown };

export type Remote<Api extends Methods<Api>> = {
  [Name in keyof Api]: (...args: Parameters<Api[Name]>) => Promise<Awaited<ReturnType<Api[Name]>>>;
};

/** Lets the process that started this one call `api`. */
export function serveParent<Api extends Methods<Api>>(api: Api): void {
  process.on("message", async ({ id, method, args }: Request) => {
    try {
      const handler = api[method as keyof Api];
      process.send?.({ id, result: await handler(...args) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
}

/** The child's api. A call rejects if it throws there, or if the child ends. */
export function remoteOf<Api extends Methods<Api>>(child: ChildProcess, name: string): Remote<Api> {
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  child.on("message", (message: unknown) => {
    const reply = message as Reply;
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  child.on("exit", (code, signal) => {
    for (const [id, settle] of waiting) settle({ id, error: `it ended (${signal ?? code})` });
    waiting.clear();
  });
  const call = (method: string, args: readonly unknown[]) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, (reply) => {
        if ("error" in reply) reject(new Error(`${name}, ${method}: ${reply.error}`));
        else resolve(reply.result);
      });
      const request: Request = { id, method, args };
      child.send(request, (error) => {
        if (error) reject(new Error(`${name}, ${method}: ${error.message}`));
      });
    });
  return new Proxy({} as Remote<Api>, {
    get:
      (_, method) =>
      (...args: unknown[]) =>
        call(String(method), args),
  });
}
