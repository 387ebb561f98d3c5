import { monotonicMs } from "../monotonic.js";
import { sleep } from "../waiting.js";
import { Connection, type Target } from "./connection.js";
import { nameOf, registerRequest } from "./messages.js";
import { REGISTER } from "./paths.js";

export interface RegisterTimes {
  readonly name: string;
  /** When the call was sent, and when its answer was here: see monotonicMs. */
  readonly sentAtMs: number;
  readonly repliedAtMs: number;
}

/** Registers so many new services, one after the other with a pause between, on one connection. */
export async function registerInTurn(
  target: Target,
  services: number,
  pauseMs: number,
): Promise<readonly RegisterTimes[]> {
  const connection = new Connection(target);
  const times: RegisterTimes[] = [];
  try {
    for (let index = 0; index < services; index++) {
      times.push(await register(connection, index));
      await sleep(pauseMs);
    }
    return times;
  } finally {
    connection.close();
  }
}

function register(connection: Connection, index: number): Promise<RegisterTimes> {
  const request = registerRequest(index);
  return new Promise((resolve, reject) => {
    const sentAtMs = monotonicMs();
    connection.callOnce(REGISTER, request, {
      onEnd(problem) {
        const repliedAtMs = monotonicMs();
        if (problem === undefined) resolve({ name: nameOf(index), sentAtMs, repliedAtMs });
        else reject(new Error(problem));
      },
    });
  });
}
