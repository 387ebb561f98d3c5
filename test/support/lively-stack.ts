import { setTimeout as sleep } from "node:timers/promises";
import {
  connectPulse,
  type PulseConnection,
  watchDownloadClients,
} from "../../src/client/index.js";
import type { Random } from "../../src/lib/random.js";
import { AbruptClients } from "./abrupt-clients.js";
import { Churn } from "./churn.js";
import { Clients } from "./clients.js";
import { addCalls } from "./lively-calls.js";
import { LivelyMembers } from "./lively-members.js";
import { RandomCuts } from "./random-cuts.js";
import type { Stack } from "./stack.js";

/** Members, watches and callers that are cut off; one each for a proxy. */
const CUT_CLIENTS = 4;
const ABRUPT_AT_ONCE = 10;

/**
 * All that happens to a Pulse, much more often than anywhere. The same instances and
 * names come again and again, so that what it has to remember does not grow.
 */
export class LivelyStack {
  private constructor(
    private readonly churn: Churn,
    private readonly members: LivelyMembers,
    private readonly cutClients: Clients,
    private readonly cuts: RandomCuts,
    private readonly connection: PulseConnection,
  ) {}

  /** Begins with all of them well, and no churn yet. Pulse runs. */
  static async create(stack: Stack, random: Random): Promise<LivelyStack> {
    const churn = new Churn(random);
    const connection = connectPulse({ pulse: stack.url, token: () => stack.token("admin") });
    addCalls(churn, connection, random);
    const abrupt = await AbruptClients.record(stack.port, await stack.token(), random);
    churn.add("connections ended in mid-write", 400, async () => {
      await abrupt.exit(ABRUPT_AT_ONCE);
      return ABRUPT_AT_ONCE;
    });
    churn.add("watches begun and closed", 300, () => watchAWhile(stack, random));
    const members = await LivelyMembers.create(stack, churn, random);
    const cuts = await RandomCuts.open(stack.port, CUT_CLIENTS, random);
    const few = { members: CUT_CLIENTS, watches: CUT_CLIENTS, callers: CUT_CLIENTS };
    const cutClients = await Clients.start(stack, { prefix: "cut", ports: cuts.ports, ...few });
    await cutClients.areWell();
    return new LivelyStack(churn, members, cutClients, cuts, connection);
  }

  /** How often each kind of event has happened. */
  get counts(): ReadonlyMap<string, number> {
    return new Map([...this.churn.counts, ["connections of real clients cut", this.cuts.count]]);
  }

  begin(): void {
    this.churn.start();
    this.cuts.begin();
  }

  /** Resolves when all are well again. Rejects if something has failed that may not. */
  async rest(): Promise<void> {
    await this.churn.stop();
    await this.cuts.rest();
    await this.members.areRegistered();
    await this.cutClients.areWell(60_000);
  }

  async close(): Promise<void> {
    this.connection.close();
    await this.cuts.close();
  }
}

async function watchAWhile(stack: Stack, random: Random): Promise<number> {
  const watch = watchDownloadClients({ pulse: stack.url, token: () => stack.token() });
  for await (const { type } of watch) if (type === "synced") break;
  await sleep(random.next() * 500);
  await watch.close();
  return 2;
}
